"""Degraded training crops per second from the loader, beside those that a training step takes.

The crops are those of the preset `real`, of the photos in SR_DATA/bsds500. The step is its first
stage's, which is the faster one, on the GPU if there is one.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.arguments import count
from benchmarks.data import in_data
from benchmarks.machine import processor
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser
from sr_train.config import Config, preset
from sr_train.config.degradation import Degradation
from sr_train.data.build.prepare import prepare
from sr_train.data.loader import training_loader
from sr_train.distributed import Processes
from sr_train.initial_generator import initial_generator
from sr_train.precision import resolve_precision
from sr_train.stages import PsnrStage

__all__ = ["main", "parser"]

PHOTOS = 40
SECONDS = 4.0
"""How long each measurement takes, after a mini-batch that starts the processes."""

DEGRADATIONS: Mapping[str, Degradation] = {
    "clean": Degradation(),
    "all `mild`": Degradation(probability=1, mild_share=1),
    "all `real`": Degradation(probability=1),
    "as the preset `real`": preset("real").degradation,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0, or 2 after an error."""
    return run_cli(lambda words: _run(**vars(parser().parse_args(words))), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m benchmarks.degradation",
        description=__doc__,
        examples={"": "", "--workers 16": ""},
    )
    made.add_argument(
        "--workers", type=count, default=os.cpu_count() or 1, metavar="N",
        help="processes that load data (default: %(default)s, one per processor)",
    )  # fmt: skip
    made.add_argument(
        "--batch-size", type=count, default=16, metavar="N",
        help="crops in a mini-batch (default: %(default)s)",
    )  # fmt: skip
    return made


def _run(workers: int, batch_size: int) -> int:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor()
    with tempfile.TemporaryDirectory() as folder:
        config = replace(_prepared(Path(folder)), batch_size=batch_size)
        print(f"\n{name}, {workers} processes that load data\n")
        assert config.pretraining.cr_patch_size is not None  # the preset's
        height, width = config.pretraining.cr_patch_size
        print(f"| crops of {height}×{width} | crops/s | ms of one core for a crop |\n|---|--:|--:|")
        for kind, degradation in DEGRADATIONS.items():
            here = replace(config, degradation=degradation, workers=0)
            _, cpu_seconds = _measure(_batches(here))
            seconds, _ = _measure(_batches(replace(here, workers=workers)))
            print(
                f"| {kind} | {batch_size / seconds:,.0f} | {1000 * cpu_seconds / batch_size:.1f} |",
                flush=True,
            )
        seconds, _ = _measure(_training_step(config, device))
        print(f"| taken by stage 1 of the preset | {batch_size / seconds:,.0f} | |")
    return 0


def _prepared(folder: Path) -> Config:
    """The preset, with some photos that are packed in this folder."""
    photos = folder / "photos"
    photos.mkdir()
    for path in sorted(in_data("bsds500/train").glob("*.jpg"))[:PHOTOS]:
        (photos / path.name).symlink_to(path.resolve())
    prepare(photos, root=folder / "data")
    config = preset("real")
    names = ("photos",)
    stage = replace(config.pretraining, train_datasets=names, val_datasets=names)
    return replace(config, data_root=str(folder / "data"), stages="pretraining", pretraining=stage)


def _training_step(config: Config, device: torch.device) -> Callable[[], object]:
    config = replace(config, precision=resolve_precision("auto", device))
    stage = PsnrStage(config, initial_generator(config), Processes(0, 1, device), total_steps=1)
    lr, hr = next(iter(training_loader(replace(config, workers=0), "pretraining", batch=0)))

    def step() -> None:
        stage.step(lr, hr, 0)
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def _batches(config: Config) -> Callable[[], object]:
    return iter(training_loader(config, "pretraining", batch=0)).__next__


def _measure(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds of a call, and those that this process computes."""
    call()
    calls, start, cpu_start = 0, time.perf_counter(), time.process_time()
    while (seconds := time.perf_counter() - start) < SECONDS:
        call()
        calls += 1
    return seconds / calls, (time.process_time() - cpu_start) / calls


if __name__ == "__main__":
    sys.exit(main())
