"""INT8 on the CPU: what static quantization of a model costs in quality, and gains in speed.

ONNX Runtime quantizes the network: weights per output channel, activations per tensor, over the
ranges seen on crops of BSDS500's training images. FP32, BF16 and INT8 then run in OpenVINO, INT8
with BF16 for what is not quantized; without BF16 where the processor has none. Quality is that of
whole images of Set5 and Set14 in SR_DATA. All take turns at a photo, round after round.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

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
from sr_runtime.backends.openvino import OpenVINOBackend
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser
from sr_runtime.embedded import DEFAULT, EMBEDDED, checkpoint_file
from sr_runtime.evaluation.pairs import Pair, find_pairs
from sr_runtime.evaluation.scoring import TILE, mean, score, upscale_whole
from sr_runtime.resize import downscale
from sr_train.checkpoint import load_generator
from sr_train.config.schema import Validation
from sr_train.lpips import LPIPS, load_lpips

SETS = {"Set5": "set5/x4", "Set14": "set14/x4"}
SIDE = 64
"""LR pixels of the crops that activations are measured on."""


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
        help="how many images activations are measured on, at most (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--rounds", type=count, default=5, metavar="N",
        help="how many rounds, after one to warm up (default: %(default)s)",
    )  # fmt: skip
    return made


def _run(model: str, images: int, rounds: int) -> int:
    crops = _Crops(images)
    sets = [find_pairs(in_data(folder)) for folder in SETS.values()]
    lpips = load_lpips(Validation(), DATA)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        rows = _files(model, crops, Path(folder))
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
            print(f"| {' | '.join([row, cost, *_quality(upscaler, sets, lpips)])} |", flush=True)
    return 0


def _files(model: str, crops: "_Crops", folder: Path) -> dict[str, tuple[Path, str]]:
    """The rows of the table: their ONNX files, and the precisions of what is not quantized."""
    # A halo of 0: every image is one tile.
    whole, prepared, quantized = (folder / f"{name}.onnx" for name in ("whole", "prepared", "int8"))
    onnx.save(onnx_from_generator(load_generator(checkpoint_file(model)), halo=0), whole)
    quant_pre_process(whole, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared, quantized, crops, per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    precisions = reversed(OpenVINOBackend.precisions())
    return {each.upper(): (whole, each) for each in precisions} | {"INT8": (quantized, "auto")}


class _Crops(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """The middle of an LR of each image, `(1, 3, SIDE, SIDE)` in [0, 1]."""

    def __init__(self, images: int) -> None:
        self._crops = map(_crop, find_pairs(in_data("bsds500/train"))[:images])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._crops, None)


def _crop(pair: Pair) -> dict[str, NDArray[np.float32]]:
    lr = downscale(pair.read_hr(4), 4)
    top, left = ((side - SIDE) // 2 for side in lr.shape[:2])
    crop = lr[top : top + SIDE, left : left + SIDE].transpose(2, 0, 1)[np.newaxis]
    return {"input": np.divide(crop, 255, dtype=np.float32)}


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


def _quality(upscaler: Upscaler, sets: Sequence[Sequence[Pair]], lpips: LPIPS) -> list[str]:
    upscale, cells = partial(upscale_whole, upscaler), []
    for pairs in sets:
        means = mean(score(upscale, pairs, scale=4, distances={"lpips": lpips.of_images}))
        cells += [f"{means.psnr_y:.2f}", f"{means.lpips:.4f}".removeprefix("0")]
    return cells


if __name__ == "__main__":
    sys.exit(main())
