"""Minutes of training until Set5 has a PSNR of Y: the leaderboard of this project's own commits.

The PSNR stage of a preset is trained from its seed, and its averaged weights are measured in fp32
on the whole images of Set5 in SR_DATA. The time of measuring does not count. Each call adds a row
to the results.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from benchmarks.arguments import count
from benchmarks.commit import commit
from benchmarks.data import in_data
from benchmarks.json_file import write_json
from benchmarks.machine import processor
from benchmarks.page import write_part
from sr_runtime.cli.console import run_cli, say
from sr_runtime.cli.parser import Parser, nonempty, number, path
from sr_runtime.errors import ArgumentError
from sr_runtime.evaluation.pairs import Pair, find_pairs
from sr_runtime.evaluation.scoring import mean, score
from sr_runtime.storage.atomic import check_target
from sr_train.config.file import fit_arguments
from sr_train.config.schema import Config
from sr_train.data.loader import training_loader
from sr_train.data.stage_data import check_data
from sr_train.distributed import Processes, init_distributed
from sr_train.inference import upscale_torch
from sr_train.models.generator import Generator
from sr_train.precision import algorithms
from sr_train.run_state import build_stage
from sr_train.stages import PsnrStage

__all__ = ["main", "measure", "parser", "table"]

COMMAND = "python -m benchmarks.time_to_quality"
SET = "set5/x4"


def main(argv: Sequence[str] | None = None) -> int:
    """Train, print and record; return 0, or 2 after an error."""
    return run_cli(lambda words: _run(**vars(parser().parse_args(words))), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog=COMMAND,
        description=__doc__,
        examples={
            "--page docs/benchmarks.md": "",
            "--target 28 -o trial.json": "",
            "--config faster.yaml": "",
        },
    )
    made.add_argument(
        "--preset", type=nonempty, default="psnr", metavar="NAME",
        help="what is trained, as by `fit` (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--config", type=path, metavar="FILE",
        help="YAML or JSON file with fields that differ (default: none)",
    )  # fmt: skip
    made.add_argument(
        "--data_root", type=nonempty, default="data", metavar="DIR",
        help="folder of the prepared data sets to train on, as of `fit` (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--device", type=nonempty, default="auto", metavar="DEVICE",
        help="auto, cpu, cuda or cuda:N (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--target", type=number, default=31.0, metavar="DB",
        help="PSNR of Y in dB at which to stop (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--every", type=count, default=500, metavar="N",
        help="mini-batches between measurements (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--minutes-limit", type=number, metavar="M",
        help="minutes of training after which to give up (default: the stage's end)",
    )  # fmt: skip
    made.add_argument(
        "-o", "--output", type=path, default="benchmarks/results/time_to_quality.json",
        metavar="JSON", help="results to which a row is added (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--page", type=path, metavar="FILE",
        help="page whose table is written anew, docs/benchmarks.md (default: print it only)",
    )  # fmt: skip
    return made


def _run(
    preset: str,
    config: Path | None,
    data_root: str,
    device: str,
    target: float,
    every: int,
    minutes_limit: float | None,
    output: Path,
    page: Path | None,
) -> int:
    pairs = list(find_pairs(in_data(SET)))
    check_target(output)
    _read(output)  # now, so that a fault in it is not met after the training
    if page is not None:
        write_part(page, COMMAND, None)
    words = ["--preset", preset, "--stages", "pretraining", "--data_root", data_root]
    words += ["--device", device, *(["--config", str(config)] if config else [])]
    recipe = fit_arguments(words).config
    check_data(recipe)
    row = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "recipe": preset if config is None else f"{preset}, {config.name}",
        "target": target,
    }
    row |= measure(recipe, pairs, target, every=every, minutes_limit=minutes_limit)
    print(table([row]))
    rows = [*_read(output), row]  # others may have added theirs
    write_json(output, rows)
    if page is not None:
        write_part(page, COMMAND, table(rows))
    return 0


def measure(
    config: Config,
    pairs: Sequence[Pair],
    target: float,
    *,
    every: int,
    minutes_limit: float | None = None,
) -> dict[str, Any]:
    """Train the PSNR stage until `pairs` have `target` dB, the minutes are over, or the stage is.

    Returns minutes, steps, the last PSNR, and the machine.
    """
    limit = float("inf") if minutes_limit is None else 60 * minutes_limit
    with init_distributed(config.device) as processes, algorithms(deterministic=False):
        stage = build_stage(config, PsnrStage.name, Path(), processes, None, None)
        seconds, psnr = 0.0, 0.0
        batches = training_loader(config, PsnrStage.name, batch=0)
        total, start = len(batches), time.perf_counter()
        for step, (lr, hr) in enumerate(batches, start=1):
            stage.step(lr, hr, step - 1)
            if step % every and step < total:
                continue
            _wait(processes)
            seconds += time.perf_counter() - start
            psnr = round(_psnr_y(stage.generator.averaged, pairs, config.scale_factor), 3)
            say(f"step {step} of {total}, {seconds / 60:.1f} minutes: {psnr:.3f} dB")
            if psnr >= target or seconds >= limit:
                break
            start = time.perf_counter()
        is_gpu = processes.device.type == "cuda"
        return {
            "machine": torch.cuda.get_device_name(processes.device) if is_gpu else processor(),
            "threads": torch.get_num_threads(),
            "minutes": round(seconds / 60, 2),
            "steps": step,
            "psnr_y": psnr,
        }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: a row for each measurement, in their order."""
    lines = [
        "| date | commit | machine | recipe | target | minutes | mini-batches | Set5 PSNR Y |",
        "|---|---|---|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        reached = row["psnr_y"] >= row["target"]
        cells = [
            row["date"],
            row["commit"] or "unknown",
            f"{row['machine']}, {row['threads']} threads",
            row["recipe"],
            f"{row['target']:g}",
            f"{row['minutes']:.1f}" if reached else f"not in {row['minutes']:.1f}",
            f"{row['steps']:,}",
            f"{row['psnr_y']:.2f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _read(output: Path) -> list[dict[str, Any]]:
    """The rows so far."""
    if not output.exists():
        return []
    try:
        rows = json.loads(output.read_text("utf-8"))
        table(rows)
        return list(rows)
    except (ValueError, TypeError, LookupError) as error:
        raise ArgumentError("holds no results of this benchmark", path=output) from error


def _psnr_y(generator: Generator, pairs: Sequence[Pair], scale: int) -> float:
    return mean(score(partial(upscale_torch, generator), pairs, scale=scale)).psnr_y


def _wait(processes: Processes) -> None:
    """A GPU runs asynchronously: it has still to finish what was timed."""
    if processes.device.type == "cuda":
        torch.cuda.synchronize(processes.device)


if __name__ == "__main__":
    sys.exit(main())
