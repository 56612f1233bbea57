"""The benchmarks' files of results, and the pages that quote them."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from benchmarks import loader, quality, quality_per_cost, report, training

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE, README = (
    (ROOT / name).read_text("utf-8").splitlines() for name in ("docs/benchmarks.md", "README.md")
)


@pytest.mark.parametrize(
    ("main", "arguments"),
    [
        (loader.main, ["-o"]),
        (training.main, ["-o"]),
        (quality_per_cost.main, ["-o"]),
        (quality.main, ["--model", "psnr", "--data", "absent", "--json"]),
    ],
    ids=["loader", "training", "quality_per_cost", "quality"],
)
def test_a_place_that_cannot_be_written_is_told_before_the_work(
    main: Callable[[Sequence[str]], int], arguments: list[str], tmp_path, capsys
) -> None:
    assert main([*arguments, str(tmp_path / "absent" / "results.json")]) == 2
    assert f"the folder {tmp_path / 'absent'} does not exist" in capsys.readouterr().err


def without_name(row: str) -> str:
    """The numbers of a table's row, which a page may call otherwise; any other line as it is."""
    return row.split("|", 2)[2] if row.startswith("|") else row


def numbers(printed: str) -> list[str]:
    """The rows of tables without their titles, and the list below them."""
    lines = [*printed.splitlines(), ""]
    return [
        without_name(line)
        for line, below in pairwise(lines)
        if line.startswith(("| ", "- ")) and not below.startswith("|--")
    ]


@pytest.mark.parametrize(
    ("table", "file", "page"),
    [
        (report.table, "cpu_speed", PAGE),
        (training.table, "cpu_training", PAGE),
        (loader.table, "cpu_loader", PAGE),
        (quality_per_cost.table, "cpu_quality_per_cost", PAGE),
        (quality_per_cost.table, "cpu_quality_per_cost", README),
    ],
)
def test_a_page_has_the_numbers_that_the_command_printed(
    table: Callable[[Any], str], file: str, page: list[str]
) -> None:
    printed = numbers(table(json.loads((RESULTS / f"{file}.json").read_text("utf-8"))))
    assert len(printed) > 2
    assert [row for row in printed if row not in map(without_name, page)] == []


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_page_has_the_quality_that_was_measured(precision: str) -> None:
    for result in json.loads((RESULTS / f"quality_{precision}.json").read_text("utf-8")):
        for scores in (result["mean"], result["bicubic"]):
            for channel in ("y", "rgb"):
                psnr, ssim = scores[f"psnr_{channel}"], scores[f"ssim_{channel}"]
                cell = f"{psnr:.3f} / {ssim:.4f}".replace(" 0", " ")
                assert any(cell in line for line in PAGE), (result["model"], cell)


def test_results_without_data_are_not_those_of_an_earlier_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.data.DATA", tmp_path)
    assert report.main(["-o", str(RESULTS / "cpu_speed.json")]) == 2
    said = capsys.readouterr()
    assert "set SR_DATA" in said.err
    assert said.out == ""
