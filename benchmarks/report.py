"""The upscaler's speed on a CPU, against bare engines and a plain PyTorch loop.

It measures RRDB_PSNR_x4 of SR_DATA on a photo of 451×300 pixels, within some minutes, and prints
medians, p90 and ratios. The contenders run in turn, round after round: a machine's speed drifts,
and a ratio within one round does not.
"""

import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.data import PHOTO, WEIGHTS, in_data
from benchmarks.test_speed import BARE, CONTENDERS, ORT, TILED, TORCH, UINT8, UPSCALER
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser, path
from sr_runtime.errors import ArgumentError
from sr_runtime.storage.atomic import check_target


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark or read earlier results, and print the table; return the exit code."""
    return run_cli(lambda words: _run(**vars(parser().parse_args(words))), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m benchmarks.report",
        description=__doc__,
        examples={"": "", "--read": "the results kept here"},
    )
    made.add_argument(
        "-o", "--output", type=path, default="benchmarks/results/cpu_speed.json", metavar="JSON",
        help="where the results are kept (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--read", action="store_true", help="measure nothing, and print the results kept there"
    )
    return made


def _run(output: Path, read: bool) -> int:
    if not read:
        # Without them the tests would be skipped, and the results of an earlier run printed.
        in_data(WEIGHTS)
        in_data(PHOTO)
        check_target(output)
        suite = str(Path(__file__).with_name("test_speed.py"))
        if code := pytest.main(["-q", "--benchmark-quiet", f"--benchmark-json={output}", suite]):
            return int(code)
    try:
        results = json.loads(output.read_text("utf-8"))
    except ValueError as error:
        raise ArgumentError("holds no results of this benchmark", path=output) from error
    print(table(results))
    return 0


def table(results: dict[str, Any]) -> str:
    """Markdown: environment, then median, p90 and speed of each contender, then the ratios."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for run in results["benchmarks"]:
        seconds[run["extra_info"]["contender"]] += run["stats"]["data"]
    facts = results["benchmarks"][0]["extra_info"]
    machine, cpu = results["machine_info"], results["machine_info"]["cpu"]
    lines = [
        f"{cpu.get('brand_raw', machine['processor'])}, {cpu['count']} cores, "
        f"Python {machine['python_version']}; RRDB-23 ×4 on {facts['photo_pixels']} pixels, in "
        f"{facts['tiles']} tiles {facts['tile_pixels']}; {len(seconds[UPSCALER])} rounds in turn",
        "",
        "| | median s | p90 s | photo pixels a second |",
        "|---|--:|--:|--:|",
    ]
    for name in CONTENDERS:
        median = statistics.median(seconds[name])
        tenths = statistics.quantiles(seconds[name], n=10, method="inclusive")
        precision = "" if name in (ORT, TORCH) else f" ({facts['precision']})"
        lines.append(
            f"| {name}{precision} | {median:.2f} | {tenths[-1]:.2f} "
            f"| {facts['photo_pixels'] / median:,.0f} |"
        )
    lines.append("")
    for what, slow, fast in (
        ("upscaler against the bare engine, same tiles", BARE, TILED),
        ("bare OpenVINO against bare ONNX Runtime FP32, same tiles", ORT, BARE),
        ("upscaler against the PyTorch tile loop", TORCH, UPSCALER),
        ("a model of uint8 against one of float32", UPSCALER, UINT8),
    ):
        ratio = statistics.median(a / b for a, b in zip(seconds[slow], seconds[fast], strict=True))
        lines.append(f"- {what}: {ratio:.2f}× (median of the rounds' ratios)")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
