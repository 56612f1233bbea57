"""TensorBoard and W&B may fail: the run goes on, and says so once."""

import shutil
import sys
from pathlib import Path

import pytest

from sr_train.config.schema import Wandb
from tests.train.test_tracking import PICTURE, board, content_by_step, tracker


def test_a_dashboard_that_fails_costs_the_run_nothing_else(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with tracker(tmp_path) as track:
        track.log(1, "pretraining", 1, {"content": 1.0})
        shutil.rmtree(tmp_path / "tensorboard")
        for step in (2, 3, 4):
            track.log(step, "pretraining", 1, {"content": float(step)})
        track.picture(4, "baby", PICTURE)
    assert content_by_step(tmp_path) == {1: 1.0, 2: 2.0, 3: 3.0, 4: 4.0}
    assert (tmp_path / "samples" / "baby_0000004.png").exists()
    said = capfd.readouterr()
    assert said.out.count("TensorBoard shows nothing from here on (FileNotFoundError") == 1
    assert said.err == ""


def test_a_run_trains_where_tensorboard_cannot_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tensorboard").write_text("a file of the user's")
    with tracker(tmp_path) as track:
        track.log(1, "pretraining", 1, {"content": 1.0})
    assert content_by_step(tmp_path) == {1: 1.0}
    assert "TensorBoard shows nothing" in capsys.readouterr().out


def test_a_run_trains_without_tensorboard_and_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard.writer", None)
    with tracker(tmp_path) as track:
        track.log(1, "pretraining", 1, {"content": 1.0})
    assert content_by_step(tmp_path) == {1: 1.0}
    assert "sr-toolkit[train]" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_goes_on_when_wandb_ends_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wandb = pytest.importorskip("wandb")
    with tracker(tmp_path, wandb=Wandb(project="demo", mode="offline")) as track:
        wandb.run.finish()
        for step in (1, 2):
            track.log(step, "pretraining", 1, {"content": float(step)})
    assert content_by_step(tmp_path) == {1: 1.0, 2: 2.0}
    assert [event.step for event in board(tmp_path).Scalars("pretraining/content")] == [1, 2]
    assert capsys.readouterr().out.count("W&B shows nothing from here on") == 1


@pytest.mark.parametrize("name", ["é" * 120, "x" * 250, "caf\udce9"])
def test_a_picture_is_saved_whatever_the_name_of_its_image(name: str, tmp_path: Path) -> None:
    with tracker(tmp_path) as track:
        track.picture(7, name, PICTURE)
    (path,) = (tmp_path / "samples").iterdir()
    assert path.name.endswith("_0000007.png")
