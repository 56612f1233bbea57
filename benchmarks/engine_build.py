"""How long an engine takes to build, and how large it is.

The network is RRDB-23 ×4 with random weights, in FP16; what is verified at export is not counted.
TensorRT for RTX builds on any machine, TensorRT only on one with an NVIDIA GPU.
"""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu.network import chosen_generator, write_onnx
from benchmarks.machine import processor
from sr_runtime.backends.tensorrt.build import build_engine
from sr_runtime.backends.tensorrt.library import builder_library
from sr_runtime.backends.tensorrt.options import LIBRARIES, BuildOptions
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser, path


def main(argv: Sequence[str] | None = None) -> int:
    """Build and print; return 0, or 2 after an error."""
    return run_cli(lambda words: _run(**vars(parser().parse_args(words))), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m benchmarks.engine_build",
        description=__doc__,
        examples={"": "", "--for tensorrt": "needs a GPU"},
    )
    made.add_argument(
        "--for", dest="library", choices=LIBRARIES, default="rtx",
        help="which library builds (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--model", type=path, metavar="ONNX", help="an FP16 ONNX file (default: RRDB-23 ×4)"
    )
    return made


def _run(model: Path | None, library: str) -> int:
    kind = LIBRARIES[library]
    builder = builder_library(kind)
    options = BuildOptions(kind=kind)
    with tempfile.TemporaryDirectory() as folder:
        if model is None:
            model = Path(folder) / "RRDB-23.onnx"
            write_onnx(chosen_generator(None, None), model, io="float32", precision="fp16")
        start = time.monotonic()
        plan, _ = build_engine(model, options)
        seconds = time.monotonic() - start
    print(
        f"{model.stem}, profile to {options.profile.max}, {builder.name}, "
        f"{os.cpu_count()} cores ({processor()}): {seconds:.0f} s, {len(plan) / 1e6:.0f} MB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
