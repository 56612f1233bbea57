"""INT8 on the CPU: what static quantization of a model costs in quality, and gains in speed.

The network is quantized by ONNX Runtime: weights per output channel, activations per tensor, with
the largest ranges that parts of BSDS500's training images lead to. FP32, BF16 and INT8 then run in
OpenVINO, which computes in BF16 what is not quantized. Quality is of whole images of Set5 and Set14
in SR_DATA. The three take turns at a photo, round after round.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

import sr_runtime
from benchmarks.arguments import count
from benchmarks.data import DATA, in_data, photo
from benchmarks.machine import processor
from sr_export.to_onnx import onnx_from_generator
from sr_runtime import Upscaler
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser
from sr_runtime.embedded import DEFAULT, EMBEDDED, checkpoint_file
from sr_runtime.evaluation.pairs import find_pairs
from sr_runtime.evaluation.scoring import TILE, mean, score, upscale_whole
from sr_runtime.resize import downscale
from sr_train.checkpoint import load_generator
from sr_train.config.schema import Validation
from sr_train.lpips import load_lpips

SETS = {"Set5": "set5/x4", "Set14": "set14/x4"}
SIDE = 64
"""LR pixels of the parts that activations are measured on."""


def main(argv: Sequence[str] | None = None) -> int:
    """Quantize, measure and print; return 0, or 2 after an error."""
    return run_cli(lambda words: _run(**vars(parser().parse_args(words))), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m benchmarks.int8",
        description=__doc__,
        examples={"": "", "-m psnr --rounds 3": ""},
    )
    made.add_argument(
        "-m", "--model", choices=EMBEDDED, default=DEFAULT,
        help="an embedded model (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--images", type=count, default=100, metavar="N",
        help="how many images activations are measured on (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--rounds", type=count, default=5, metavar="N",
        help="how many rounds, after one to warm up (default: %(default)s)",
    )  # fmt: skip
    return made


def _run(model: str, images: int, rounds: int) -> int:
    in_data("bsds500/train")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        rows = _files(model, images, Path(folder))
        upscalers = {
            row: opened.enter_context(
                sr_runtime.load(path, backend="openvino", precision=precision, tile=TILE)
            )
            for row, (path, precision) in rows.items()
        }
        pixels, seconds = _seconds(upscalers, rounds)
        print(f"{model}; {processor()}; a photo of {pixels} pixels")
        print(f"\n| | ms per LR megapixel |{''.join(f' {name} PSNR Y | LPIPS |' for name in SETS)}")
        print(f"|---|--:|{'--:|--:|' * len(SETS)}")
        for row, upscaler in upscalers.items():
            cost = f"{statistics.median(seconds[row]) / pixels * 1e9:,.0f}"
            print(f"| {' | '.join([row, cost, *_quality(upscaler)])} |", flush=True)
    return 0


def _files(model: str, images: int, folder: Path) -> dict[str, tuple[Path, str]]:
    """The rows of the table: their ONNX files, and the precisions of what is not quantized."""
    whole, prepared, quantized = (folder / f"{name}.onnx" for name in ("whole", "prepared", "int8"))
    onnx.save(onnx_from_generator(load_generator(checkpoint_file(model)), halo=16), whole)
    quant_pre_process(whole, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared, quantized, _Parts(images), per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return {"FP32": (whole, "fp32"), "BF16": (whole, "bf16"), "INT8": (quantized, "bf16")}


class _Parts(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """The middle of an LR of each image, `(1, 3, SIDE, SIDE)` in [0, 1]."""

    def __init__(self, images: int) -> None:
        self._parts = self._read(images)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._parts, None)

    def _read(self, images: int) -> Iterator[dict[str, NDArray[np.float32]]]:
        for pair in find_pairs(in_data("bsds500/train"))[:images]:
            lr = downscale(pair.read_hr(4), 4)
            top, left = (lr.shape[0] - SIDE) // 2, (lr.shape[1] - SIDE) // 2
            part = lr[top : top + SIDE, left : left + SIDE].transpose(2, 0, 1)[np.newaxis]
            yield {"input": np.divide(part, 255, dtype=np.float32)}


def _seconds(upscalers: dict[str, Upscaler], rounds: int) -> tuple[int, dict[str, list[float]]]:
    """The pixels of a photo, and every round's time for it."""
    image = photo()
    seconds: dict[str, list[float]] = {row: [] for row in upscalers}
    for _ in range(1 + rounds):
        for row, upscaler in upscalers.items():
            start = time.perf_counter()
            upscaler.upscale(image)
            seconds[row].append(time.perf_counter() - start)
    return image.shape[0] * image.shape[1], {row: each[1:] for row, each in seconds.items()}


def _quality(upscaler: Upscaler) -> list[str]:
    lpips, cells = load_lpips(Validation(), DATA), []
    for folder in SETS.values():
        pairs: Any = find_pairs(in_data(folder))
        upscale = partial(upscale_whole, upscaler)
        means = mean(score(upscale, pairs, scale=4, distances={"lpips": lpips.of_images}))
        cells += [f"{means.psnr_y:.2f}", f"{means.lpips:.4f}".removeprefix("0")]
    return cells


if __name__ == "__main__":
    sys.exit(main())
