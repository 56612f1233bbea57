"""The benchmark of time to quality, with a tiny network and photos in the place of Set5."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from benchmarks import time_to_quality
from benchmarks.commit import commit
from sr_runtime.resize import downscale
from sr_train.data.build.prepare import prepare

ROOT = Path(__file__).parents[2]
PHOTOS = ROOT / "sr_export" / "calibration"
CONFIG = """
batch_size: 2
workers: 0
generator: {rrdb_channels: 4, growth_channels: 2, num_basic_blocks: 1}
pretraining:
  num_epoch: null
  num_steps: 5
  cr_patch_size: [32, 32]
  train_datasets: [crops]
  val_datasets: [crops]
"""
PAGE = """before
<!-- The table is written by `python -m benchmarks.time_to_quality`. -->
<!-- End of the table. -->
after
"""


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command line of a small measurement, whose files are in `tmp_path`."""
    set5 = tmp_path / "set5" / "x4"
    set5.mkdir(parents=True)
    (tmp_path / "crops").mkdir()
    with PIL.Image.open(min(PHOTOS.glob("*.png"))) as photo:
        hr = photo.convert("RGB").crop((0, 0, 64, 64))
    hr.save(set5 / "img_001_SRF_4_HR.png")
    PIL.Image.fromarray(downscale(np.asarray(hr), 4)).save(set5 / "img_001_SRF_4_LR.png")
    hr.save(tmp_path / "crops" / "photo.png")
    prepare(tmp_path / "crops", root=tmp_path / "data")
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    (tmp_path / "page.md").write_text(PAGE)
    monkeypatch.setattr("benchmarks.data.DATA", tmp_path)
    named = {"config": "tiny.yaml", "data_root": "data", "output": "rows.json", "page": "page.md"}
    options = [(f"--{name}", str(tmp_path / file)) for name, file in named.items()]
    return [*(word for pair in options for word in pair), "--every", "2", "--device", "cpu"]


def test_each_call_adds_a_row_and_writes_the_table_anew(words: list[str], tmp_path: Path) -> None:
    assert time_to_quality.main([*words, "--target", "1"]) == 0
    assert time_to_quality.main([*words, "--target", "99"]) == 0
    reached, ended = json.loads((tmp_path / "rows.json").read_text())
    assert (reached["steps"], ended["steps"]) == (2, 5)
    assert reached["psnr_y"] > 1
    assert ended["recipe"] == "psnr, tiny.yaml"
    assert ended["threads"] >= 1
    before, *lines, after = (tmp_path / "page.md").read_text().splitlines()
    assert (before, after) == ("before", "after")
    rows = [line for line in lines if line.startswith("| 2")]
    assert len(rows) == 2
    assert "not in " not in rows[0]
    assert "not in " in rows[1]


def test_a_row_that_another_call_adds_meanwhile_stays(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert time_to_quality.main([*words, "--target", "1"]) == 0
    stored, measure = tmp_path / "rows.json", time_to_quality.measure

    def measured(*arguments: Any, **options: Any) -> dict[str, Any]:
        stored.write_text(json.dumps(2 * json.loads(stored.read_text())))
        return measure(*arguments, **options)

    monkeypatch.setattr(time_to_quality, "measure", measured)
    assert time_to_quality.main([*words, "--target", "1"]) == 0
    assert len(json.loads(stored.read_text())) == 3


def test_training_ends_when_the_minutes_are_over(words: list[str], tmp_path: Path) -> None:
    assert time_to_quality.main([*words, "--target", "99", "--minutes-limit", "1e-9"]) == 0
    (row,) = json.loads((tmp_path / "rows.json").read_text())
    assert row["steps"] == 2


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("set5", None, "set SR_DATA"),
        ("page.md", "no marks", "has no lines"),
        ("rows.json", "[1]", "holds no results of this benchmark"),
        ("data", None, "is not prepared"),
    ],
)
def test_what_is_missing_is_told_before_the_training(
    words: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    file: str,
    content: str | None,
    said: str,
) -> None:
    path = tmp_path / file
    if content is None:
        path.rename(tmp_path / "elsewhere")
    else:
        path.write_text(content)
    assert time_to_quality.main(words) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_a_commit_with_changed_packages_says_so(tmp_path: Path) -> None:
    assert commit(tmp_path) is None
    file = tmp_path / "sr_train" / "code.py"
    file.parent.mkdir()
    file.write_text("1")
    (tmp_path / "results.json").write_text("{}")
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "--no-gpg-sign", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    clean = commit(tmp_path)
    assert clean is not None
    (tmp_path / "results.json").write_text("[]")
    assert commit(tmp_path) == clean
    file.write_text("2")
    assert commit(tmp_path) == f"{clean}+changes"
