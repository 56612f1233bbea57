"""What a run leaves behind: metrics.csv, TensorBoard, Weights & Biases, sample pictures."""

import os
import select
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sr_runtime.errors import ArgumentError, DataError, StorageError
from sr_train.config.schema import Config, Wandb
from sr_train.metrics_file import COLUMNS, append_metrics, cut_metrics, read_metrics
from sr_train.models.rrdbnet import RRDBNet
from sr_train.tracking import Tracker

PICTURE = np.arange(4 * 8 * 3, dtype=np.uint8).reshape(4, 8, 3)


def tracker(folder: Path, *, step: int = 0, wandb_id: str | None = None, **options: Any) -> Tracker:
    return Tracker(folder, Config(**options), step=step, total_steps=100, wandb_id=wandb_id)


def board(folder: Path) -> EventAccumulator:
    accumulator = EventAccumulator(str(folder / "tensorboard"))
    accumulator.Reload()
    return accumulator


def content_by_step(folder: Path) -> dict[int, float]:
    return {step: value for _, step, value in read_metrics(folder / "metrics.csv")["content"]}


def test_metrics_of_both_stages_share_columns_and_leave_the_others_blank(tmp_path: Path) -> None:
    with tracker(tmp_path) as track:
        track.log(10, "pretraining", 1, {"content": 0.25, "lr_g": 2e-4, "gradient/g/body.0": 3.0})
        track.log(10, "pretraining", 1, {"val_psnr_y": float("inf")})
        track.log(20, "training", 2, {"g_total": 1.5, "d_adversarial": 0.125})
    header, *rows = (tmp_path / "metrics.csv").read_text().splitlines()
    assert header.split(",") == list(COLUMNS)
    filled = [
        {name: cell for name, cell in zip(COLUMNS, row.split(","), strict=True) if cell}
        for row in rows
    ]
    first = {"step": "10", "stage": "pretraining", "epoch": "1"}
    assert filled == [
        {**first, "content": "0.25", "lr_g": "0.0002"},
        {**first, "val_psnr_y": "inf"},
        {
            **{"step": "20", "stage": "training", "epoch": "2"},
            **{"g_total": "1.5", "d_adversarial": "0.125"},
        },
    ]


def test_an_unknown_metric_is_an_error(tmp_path: Path) -> None:
    with tracker(tmp_path) as track, pytest.raises(ValueError, match="contents"):
        track.log(1, "pretraining", 0, {"contents": 1.0})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_metrics_that_cannot_be_written_name_their_file() -> None:
    with pytest.raises(StorageError, match=r"/dev/full: .*No space left.*--resume /dev"):
        append_metrics(Path("/dev/full"), 1, "pretraining", 0, {"content": 1.0})


def test_a_resumed_run_removes_what_came_after_its_state(tmp_path: Path) -> None:
    with tracker(tmp_path) as track:
        for step in (10, 20, 30):
            track.log(step, "pretraining", 1, {"content": float(step)})
    with tracker(tmp_path, step=20) as track:
        assert content_by_step(tmp_path) == {10: 10.0, 20: 20.0}
        track.log(30, "pretraining", 1, {"content": 31.0})
    assert content_by_step(tmp_path) == {10: 10.0, 20: 20.0, 30: 31.0}
    scalars = board(tmp_path).Scalars("pretraining/content")
    assert [(event.step, event.value) for event in scalars] == [(10, 10), (20, 20), (30, 31)]


def test_a_new_run_begins_with_empty_metrics(tmp_path: Path) -> None:
    for _ in range(2):
        with tracker(tmp_path) as track:
            track.log(1, "pretraining", 0, {"content": 1.0})
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize("torn", ["30,pretr", "3", "30,pretraining,1,0.5,,,,,,,,,,,,,,,,,,"])
def test_a_row_cut_short_by_a_kill_is_removed(torn: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    cut_metrics(path, step=0)
    append_metrics(path, 10, "pretraining", 0, {"content": 1.0})
    whole = path.read_text()
    path.write_text(whole + torn)
    assert content_by_step(tmp_path) == {10: 1.0}
    cut_metrics(path, step=99)
    assert path.read_text() == whole


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_metrics_that_a_spreadsheet_saved_are_read(mark: str, end: str, tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    cut_metrics(path, step=0)
    append_metrics(path, 10, "pretraining", 0, {"content": 1.0})
    whole = path.read_bytes()
    path.write_bytes((mark + whole.decode().replace("\n", end)).encode())
    cut_metrics(path, step=99)
    assert path.read_bytes() == whole


def test_metrics_in_another_format_are_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    cut_metrics(path, step=0)
    append_metrics(path, 10, "pretraining", 0, {"content": 1.0})
    path.write_text(saved := path.read_text().replace(",", ";"))
    with pytest.raises(DataError, match="spreadsheet"):
        cut_metrics(path, step=99)
    assert path.read_text() == saved


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs FIFOs")
def test_a_pipe_in_place_of_the_metrics_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metrics.csv")
    with pytest.raises(StorageError, match="a pipe"):
        cut_metrics(tmp_path / "metrics.csv", step=0)


def test_tensorboard_has_numbers_pictures_and_the_graph(tmp_path: Path) -> None:
    generator = RRDBNet(rrdb_channels=2, growth_channels=2, num_basic_blocks=1).eval()
    with tracker(tmp_path) as track:
        track.graph(generator, torch.rand(1, 3, 4, 4))
        track.log(5, "training", 0, {"g_total": 1.0, "val_lpips": 0.5, "gradient/g/body.0": 2.0})
        track.picture(5, "baby", PICTURE)
    events = board(tmp_path)
    tags = {"training/g_total", "validation/lpips", "gradient/g/body.0"}
    assert set(events.Tags()["scalars"]) == tags
    assert events.Tags()["images"] == ["samples/baby"]
    assert b"conv_first" in events.Graph().SerializeToString()


def test_pictures_are_files_and_none_is_left_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tracker(tmp_path) as track:
        track.picture(130, "set5/baby", PICTURE)

        def torn(_: PIL.Image.Image, path: Path) -> None:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(PIL.Image.Image, "save", torn)
        with pytest.raises(StorageError, match=r"baby.*No space"):
            track.picture(130, "set5/baby", PICTURE // 2)
    (path,) = (tmp_path / "samples").iterdir()
    assert path.name == "set5_baby_0000130.png"
    assert np.array_equal(np.asarray(PIL.Image.open(path)), PICTURE)


MEASURED = {"content": 0.01234, "lr_g": 1e-4, "images_per_second": 12.5}


def test_a_log_file_has_a_line_for_everything_logged_and_no_bar(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with tracker(tmp_path, step=40) as track:
        track.log(41, "training", 3, MEASURED)
        track.advance(41, "training", 3)
        track.log(41, "training", 3, {"val_psnr_y": 26.5, "val_lpips": 0.25})
        track.say("done")
    said = capsys.readouterr()
    assert said.err == ""
    first, second, last = said.out.splitlines()
    begin = "training, epoch 3, step 41/100: "
    assert first.startswith(begin + "content 0.0123, lr 1.0e-04, 12.5 images/s, ")
    assert second.startswith(begin + "validation: PSNR Y 26.50 dB, LPIPS 0.2500, ")
    assert first.endswith(" left")
    assert last == "done"


def test_a_terminal_shows_the_position_in_a_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    termios = pytest.importorskip("termios")
    shown_at, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (24, 200))
    with os.fdopen(terminal, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with tracker(tmp_path, step=40) as track:
            track.log(41, "training", 3, MEASURED)
            track.advance(41, "training", 3)
            track.say("done")
        # The kernel delivers what was written a little later, in pieces.
        pieces = []
        while select.select([shown_at], [], [], 1.0)[0]:
            pieces.append(os.read(shown_at, 100_000))
    os.close(shown_at)
    shown = b"".join(pieces).decode()
    assert capsys.readouterr().out == "done\n"
    for fact in ("training, epoch 3", "41/100", "content 0.0123", "lr 1.0e-04", "12.5 images/s"):
        assert fact in shown
    assert shown.count("\n") == 1  # the bar redraws itself in place


@pytest.mark.slow
def test_wandb_works_offline_and_continues_the_same_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = {"wandb": Wandb(project="demo", mode="offline")}
    with tracker(tmp_path, **options) as track:
        identity = track.wandb_id
        assert identity is not None
        track.log(10, "pretraining", 0, {"content": 0.123456})
        track.picture(10, "baby", PICTURE)
    with tracker(tmp_path, step=5, wandb_id=identity, **options) as track:
        assert track.wandb_id == identity
        track.log(6, "pretraining", 0, {"content": 0.654321})
    files = sorted((tmp_path / "wandb").glob(f"offline-run-*/run-{identity}.wandb"))
    for path, value in zip(files, (b"0.123456", b"0.654321"), strict=True):
        # A process of W&B writes the file a moment after `finish` returns.
        for _ in range(100):
            if value in path.read_bytes():
                break
            time.sleep(0.1)
        assert value in path.read_bytes()
        assert b"pretraining/content" in path.read_bytes()
    assert len(list((tmp_path / "wandb").rglob("media/images/samples/*.png"))) == 1
    assert "wandb:" not in capfd.readouterr().err


def test_wandb_without_a_login_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(ArgumentError, match=r"wandb login.*--wandb\.mode offline"):
        tracker(tmp_path, wandb=Wandb(project="demo"))


def test_wandb_is_off_unless_asked_for(tmp_path: Path) -> None:
    with tracker(tmp_path) as track:
        assert track.wandb_id is None
    assert not (tmp_path / "wandb").exists()
