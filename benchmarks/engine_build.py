"""How long an engine takes to build, and how large it is.

    python -m benchmarks.engine_build [--for rtx|tensorrt] [--model MODEL.onnx]

The network is RRDB-23 ×4 with random weights, in FP16; what is verified at export is not counted.
TensorRT for RTX builds on any machine, TensorRT only on one with an NVIDIA GPU.
"""

import argparse
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
from sr_runtime.backends.tensorrt.options import LIBRARIES, BuildOptions, Kind
from sr_runtime.cli.console import run_cli


def main(argv: Sequence[str] | None = None) -> int:
    """Build and print; return 0, or 2 after an error."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine_build", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--for", dest="library", choices=LIBRARIES, default="rtx", help="(%(default)s)"
    )
    parser.add_argument("--model", type=Path, help="an FP16 ONNX file (default: RRDB-23 ×4)")
    arguments = parser.parse_args(argv)
    return run_cli(lambda _: _run(arguments.model, LIBRARIES[arguments.library]))


def _run(model: Path | None, kind: Kind) -> int:
    library = builder_library(kind)
    options = BuildOptions(kind=kind)
    with tempfile.TemporaryDirectory() as folder:
        if model is None:
            model = Path(folder) / "RRDB-23.onnx"
            write_onnx(chosen_generator(None, None), model, io="float32", precision="fp16")
        start = time.monotonic()
        plan, _ = build_engine(model, options)
        seconds = time.monotonic() - start
    print(
        f"{model.stem}, profile to {options.profile.max}, {library.name}, "
        f"{os.cpu_count()} cores ({processor()}): {seconds:.0f} s, {len(plan) / 1e6:.0f} MB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
