"""One command for any CUDA machine: are results right, how fast are they, how far from peak?

    python -m benchmarks.gpu -o results.json [--minutes 8]

Runs every part for which the packages are installed, says what it left out and why, and prints
tables. Results are written after every part, so that an interrupted run keeps what it has.
"""

import argparse
import json
import math
import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.end_to_end import folder, several_gpus, whole_photo
from benchmarks.gpu.environment import environment
from benchmarks.gpu.kernels import kernels
from benchmarks.gpu.models import chosen_generator, models, opened
from benchmarks.gpu.parity import parity
from benchmarks.gpu.peak import floors, peak
from benchmarks.gpu.report import report, targets
from benchmarks.gpu.run import GPU, SMALL, Run, reason_of
from benchmarks.gpu.training import training_steps
from sr_runtime.atomic import atomic_path, check_target
from sr_runtime.backends.tensorrt.cache_folder import CACHE_VARIABLE
from sr_runtime.cli.console import run_cli
from sr_runtime.errors import ArgumentError, BackendError, SRError

# Each part may take its share of the time that the parts before it left.
PARTS: dict[str, tuple[float, Callable[[Run], Any]]] = {
    "environment": (1, environment),
    "peak": (3, peak),
    "floors": (1, floors),
    "models": (10, models),
    "engines": (60, opened),
    "parity": (5, parity),
    "kernels": (12, kernels),
    "whole_photo": (14, whole_photo),
    "folder": (8, folder),
    "several_gpus": (5, several_gpus),
    "pretraining": (20, partial(training_steps, stage="pretraining")),
    "training": (30, partial(training_steps, stage="training")),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, write and print; return 0, or 2 where the device does not exist."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, required=True, help="the results, as JSON")
    parser.add_argument("--minutes", type=float, default=8, help="to take, about (%(default)g)")
    parser.add_argument("--checkpoint", type=Path, help="the network (default: RRDB-23 ×4)")
    parser.add_argument(
        "--device", default="cuda:0", help="cpu tries the benchmark itself out (%(default)s)"
    )
    parser.add_argument("--blocks", type=int, metavar="N", help="of a smaller, fresh network")
    arguments = parser.parse_args(argv)
    return run_cli(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    output, blocks = arguments.output, arguments.blocks
    device = _device(arguments.device)
    check_target(output)
    if output.exists():
        raise ArgumentError(f"{output} holds former results: name another file, or move that one")
    if not 0 < arguments.minutes < math.inf:
        raise ArgumentError(f"minutes {arguments.minutes} is no time: give 8 for instance")
    if arguments.checkpoint is not None and blocks is not None:
        raise ArgumentError("--checkpoint and --blocks exclude each other: give one of them")
    with (
        tempfile.TemporaryDirectory() as temporary,
        _cache_in(Path(temporary)),
        ExitStack() as held,
    ):
        network, generator = chosen_generator(arguments.checkpoint, blocks)
        run = Run(
            device=device,
            dtype=torch.float16 if device.type == "cuda" else torch.float32,
            sizes=GPU if device.type == "cuda" else SMALL,
            network=network,
            generator=generator,
            folder=Path(temporary),
            held=held,
            results={"device": str(device), "minutes": arguments.minutes, "seconds": {}},
        )
        start = time.monotonic()
        for name in PARTS:
            _do(run, name, start, start + 60 * arguments.minutes)
            run.results |= {"targets": targets(run.results), "left_out": run.left_out}
            with atomic_path(output) as path:
                path.write_text(json.dumps(run.results, indent=1) + "\n", encoding="utf-8")
    print(report(run.results))
    print(f"\n{output}: all of it")
    return 0


def _do(run: Run, name: str, start: float, end: float) -> None:
    """Run one part within its share of the time; note an error, so that the next part can run."""
    now = time.monotonic()
    names = list(PARTS)
    shares = [share for share, _ in PARTS.values()][names.index(name) :]
    run.deadline = now + max(0.0, end - now) * shares[0] / sum(shares)
    print(f"[{now - start:4.0f} s] {name}, {max(0, run.left()):.0f} s at most", flush=True)
    try:
        torch.cuda.empty_cache()  # a no-op without a GPU
        run.results[name] = PARTS[name][1](run)
    # One failed measurement must not lose the others.
    except Exception as error:
        run.leave_out(name, reason_of(error))
        if not isinstance(error, SRError):
            traceback.print_exc()
    run.results["seconds"][name] = time.monotonic() - now


def _device(name: str) -> torch.device:
    """The device of that name. Raises ArgumentError for another word, BackendError for no GPU."""
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise ArgumentError(f"device {name!r} is none of cpu, cuda and cuda:N")
    device = torch.device(name)
    if device.type == "cpu":
        return device
    count = torch.cuda.device_count()
    device = torch.device("cuda", device.index or 0)
    if device.index >= count:
        raise BackendError(
            f"device {name} is not available here: torch {torch.__version__} finds {count} CUDA "
            "GPUs: install torch's CUDA build and the GPU's driver; --device cpu --blocks 1 tries "
            "the benchmark itself out"
        )
    torch.cuda.set_device(device)
    return device


@contextmanager
def _cache_in(folder: Path) -> Iterator[None]:
    """Keep engines that are built in the block out of the user's cache."""
    before = os.environ.get(CACHE_VARIABLE)
    os.environ[CACHE_VARIABLE] = str(folder)
    try:
        yield
    finally:
        del os.environ[CACHE_VARIABLE]
        if before is not None:
            os.environ[CACHE_VARIABLE] = before


if __name__ == "__main__":
    sys.exit(main())
