"""Run the speed benchmark and print its table: `python -m benchmarks.report [-o results.json]`."""

import argparse
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.data import DATA
from benchmarks.test_speed import BARE, CONTENDERS, ORT, TILED, TORCH, UINT8, UPSCALER


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark or read earlier results, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("benchmarks/results/cpu_speed.json"),
        help="where the measurements go (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--read", action="store_true", help="print a former run instead")
    arguments = parser.parse_args(argv)
    if not arguments.read:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        suite = str(Path(__file__).with_name("test_speed.py"))
        code = pytest.main(
            ["-q", "--benchmark-quiet", f"--benchmark-json={arguments.output}", suite]
        )
        if code:
            return int(code)
    if not arguments.output.exists():
        print(f"error: nothing was measured: no weights and photos at {DATA}, set SR_DATA")
        return 2
    print(table(json.loads(arguments.output.read_text())))
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
