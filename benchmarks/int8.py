"""INT8 on the CPU: what static quantization of a model costs in quality, and gains in speed.

ONNX Runtime quantizes the network: weights per output channel, activations per tensor, over the
ranges seen on crops of 100 of BSDS500's training images. FP32, BF16 and INT8 then run in OpenVINO,
INT8 with BF16 for what is not quantized; without BF16 where the processor has none. They are
measured as by `benchmarks.quality_per_cost`.
"""

import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

import sr_runtime
from benchmarks.arguments import count
from benchmarks.data import in_data
from benchmarks.quality_per_cost import measure_opened, table
from sr_export.to_onnx import onnx_from_generator
from sr_runtime.backends.openvino import OpenVINOBackend
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser
from sr_runtime.embedded import DEFAULT, EMBEDDED, checkpoint_file
from sr_runtime.evaluation.pairs import Pair, find_pairs
from sr_runtime.evaluation.scoring import TILE
from sr_runtime.resize import downscale
from sr_train.checkpoint import load_generator

IMAGES = 100
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
        "--rounds", type=count, default=5, metavar="N",
        help="how many rounds, after one to warm up (default: %(default)s)",
    )  # fmt: skip
    return made


def _run(model: str, rounds: int) -> int:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        upscalers = {
            row: opened.enter_context(
                sr_runtime.load(path, backend="openvino", precision=precision, tile=TILE)
            )
            for row, (path, precision) in _files(model, Path(folder)).items()
        }
        print(f"{model}; {table(measure_opened(upscalers, rounds))}")
    return 0


def _files(model: str, folder: Path) -> dict[str, tuple[Path, str]]:
    """The rows of the table: their ONNX files, and the precisions of what is not quantized."""
    # A halo of 0: every image is one tile.
    whole, prepared, quantized = (folder / f"{name}.onnx" for name in ("whole", "prepared", "int8"))
    onnx.save(onnx_from_generator(load_generator(checkpoint_file(model)), halo=0), whole)
    quant_pre_process(whole, prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared, quantized, _Crops(), per_channel=True,
        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    precisions = reversed(OpenVINOBackend.precisions())
    return {each.upper(): (whole, each) for each in precisions} | {"INT8": (quantized, "auto")}


class _Crops(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    """The middle of an LR of each image, `(1, 3, SIDE, SIDE)` in [0, 1]."""

    def __init__(self) -> None:
        self._crops = map(_crop, find_pairs(in_data("bsds500/train"))[:IMAGES])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._crops, None)


def _crop(pair: Pair) -> dict[str, NDArray[np.float32]]:
    lr = downscale(pair.read_hr(4), 4)
    top, left = ((side - SIDE) // 2 for side in lr.shape[:2])
    crop = lr[top : top + SIDE, left : left + SIDE].transpose(2, 0, 1)[np.newaxis]
    return {"input": np.divide(crop, 255, dtype=np.float32)}


if __name__ == "__main__":
    sys.exit(main())
