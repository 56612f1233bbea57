"""The matrix of architectures is measured in pieces, and its page says what was measured."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.architectures import __main__ as command
from benchmarks.architectures.page import write_page
from benchmarks.architectures.process import in_a_process

EXPORTED = json.loads(command.RESULTS.read_text())["rows"]["SPAN"]["export"]
FAILED = {"failed": "why not"}


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return Path(shutil.copy(command.PAGE, tmp_path))


def cells(page: Path, row: dict[str, Any]) -> list[str]:
    """Those of one row; the sentences after the table follow as one more."""
    write_page(page, {"rows": {"SPAN": row}, "processor": "", "versions": {}})
    _, line, after = page.read_text("utf-8").partition("\n| SPAN |")
    assert line
    table, _, rest = after.partition("|\n")
    return [*(each.strip() for each in table.split("|")), rest]


def test_the_page_has_what_was_measured(page: Path) -> None:
    write_page(page, json.loads(command.RESULTS.read_text()))
    run = "run python -m benchmarks.architectures"
    assert page.read_text("utf-8") == command.PAGE.read_text("utf-8"), run


def test_a_cell_has_its_value_or_says_why_not(page: Path) -> None:
    *values, after = cells(page, {"export": EXPORTED})
    assert values.count("not run") == 4
    built = {"bytes": 744380, "seconds": 0.6, "ran": False}
    row = {"export": EXPORTED, "rtx": built, "webgpu": FAILED}
    row["speed"] = {"onnxruntime": 6080, "openvino": 4995, "quiet": False}
    *values, after = cells(page, row)
    assert "not run" not in values
    assert {"1 s, 0.7 MB", "no", "6,080†"} <= {*values}
    assert "SPAN, WebGPU: why not" in after
    assert "† Other work ran" in after
    assert "None of the engines" in after
    row["speed"]["quiet"] = True
    *values, after = cells(page, row)
    assert "6,080" in values
    assert "†" not in after


@pytest.mark.parametrize(
    ("words", "row", "measured"),
    [
        ("", {}, ["export", "rtx", "webgpu", "speed"]),
        ("", {"export": EXPORTED, "webgpu": FAILED}, ["rtx", "speed"]),
        ("--only speed", {"export": EXPORTED}, ["speed"]),
        ("--only speed", {}, []),
        ("--only rtx", {"export": {**EXPORTED, "supports_half": False}}, []),
        ("--again", {"export": EXPORTED}, ["export", "rtx", "webgpu", "speed"]),
        ("", {"export": FAILED}, []),
    ],
)
def test_only_what_is_missing_is_measured_and_the_rest_is_kept(
    words: str, row: dict[str, Any], measured: list[str], page: Path, monkeypatch
) -> None:
    asked: list[str] = []

    def measure(part: str, *_: object) -> dict[str, Any]:
        asked.append(part)
        return EXPORTED if part == "export" else {"not_run": "no such library"}

    monkeypatch.setattr(command, "in_a_process", measure)
    results, others = page.with_name("results.json"), {"MoSR": {"export": EXPORTED}}
    results.write_text(json.dumps({"rows": {"SPAN": row, **others}}))
    files = ["-o", str(results), "--page", str(page)]
    assert command.main(["SPAN", *files, *words.split()]) == 0
    assert asked == measured
    expected = row | {"export": EXPORTED} if "export" in asked else row
    kept = {"SPAN": expected, **others} if expected else others
    assert json.loads(results.read_text())["rows"] == kept


@pytest.mark.parametrize("other", [{"processor": "Z80"}, {"versions": {"onnx": "0.1"}}])
def test_rows_of_other_machines_and_versions_are_not_mixed(
    other: dict[str, Any], page: Path, capsys
) -> None:
    results = page.with_name("results.json")
    results.write_text(content := json.dumps({"rows": {"SPAN": {"export": FAILED}}, **other}))
    assert command.main(["SPAN", "-o", str(results), "--page", str(page)]) == 2
    assert re.search(r"(processor Z80|onnx 0\.1), now .*-o", capsys.readouterr().err)
    assert results.read_text() == content


def test_a_page_without_the_table_is_refused_before_any_work(tmp_path: Path, capsys) -> None:
    page = tmp_path / "page.md"
    assert command.main(["-o", str(tmp_path / "r.json"), "--page", str(page)]) == 2
    assert "page.md: has no lines" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_row_that_does_not_exist_is_refused_with_those_that_do(capsys) -> None:
    assert command.main(["SPAM"]) == 2
    assert "SPAN; " in capsys.readouterr().err


@pytest.mark.slow
def test_a_part_that_takes_too_long_is_ended_and_says_so() -> None:
    assert in_a_process("speed", "SPAN", {}, 1) == {"failed": "not finished after 1 seconds"}
