"""What a network for ×2 would save: its time, beside that of one for ×4 whose result is halved.

All have the blocks of the embedded models, and random weights, because the time does not depend on
them. One folds 2×2 pixels into channels first, as RealESRGAN_x2plus does, so that its blocks see a
quarter of the pixels. For each: seconds for a photo that is enlarged to twice its size, in the
default backend and precision.
"""

import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import onnx

import sr_runtime
from benchmarks.arguments import count
from benchmarks.data import photo
from benchmarks.in_turn import seconds_in_turn
from benchmarks.machine import processor
from sr_export.to_onnx import onnx_from_generator
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser
from sr_runtime.embedded import DEFAULT, checkpoint_file
from sr_train.checkpoint import load_generator
from sr_train.models.registry import build_generator

NETWORKS = {
    "network for ×4, halved": {"scale_factor": 4},
    "network for ×2": {"scale_factor": 2},
    "network for ×2, pixels folded": {"scale_factor": 2, "unshuffle": 2},
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0, or 2 after an error."""
    return run_cli(lambda words: _run(**vars(parser().parse_args(words))), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(prog="python -m benchmarks.x2", description=__doc__, examples={"": ""})
    made.add_argument(
        "--rounds", type=count, default=5, metavar="N",
        help="how many rounds, after one to warm up (default: %(default)s)",
    )  # fmt: skip
    return made


def _run(rounds: int) -> int:
    embedded = load_generator(checkpoint_file(DEFAULT))
    image = photo()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        contenders = {}
        for i, (name, sizes) in enumerate(NETWORKS.items()):
            network = build_generator(embedded.arch, embedded.architecture | sizes)
            path = Path(folder, f"{i}.onnx")
            onnx.save(onnx_from_generator(network.eval(), halo=16), path)
            upscaler = opened.enter_context(sr_runtime.load(path))
            contenders[name] = partial(upscaler.upscale, image, scale=2)
        seconds = seconds_in_turn(contenders, rounds)
        engine = f"{upscaler.backend.name} in {upscaler.backend.compute_dtype}"
    print(f"{processor()}, {engine}; a photo of {image.shape[1]}×{image.shape[0]}\n")
    print("| ×2 | median s |\n|---|--:|")
    for name, times in seconds.items():
        print(f"| {name} | {statistics.median(times):.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
