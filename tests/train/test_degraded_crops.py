"""Which training crops are degraded, that they are the same every time, and their preview."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray
from torch import Tensor

from sr_runtime.errors import ArgumentError
from sr_train.__main__ import main as sr_train
from sr_train.config.degradation import MILD, REAL, Degradation, DegradationPass
from sr_train.config.schema import Config, Pretraining
from sr_train.data.degradation.crops import degraded, sharpened
from sr_train.data.degradation.jpeg import Jpeg
from sr_train.preview import write_preview
from tests.train.training_sets import batches, config

Pixels = NDArray[np.uint8]

HALF = Degradation(probability=0.5, mild_share=0.5)


def bytes_of(found: list[tuple[Tensor, ...]]) -> list[bytes]:
    return [b"".join(tensor.numpy().tobytes() for tensor in batch) for batch in found]


def test_crops_and_their_order_are_the_same_every_time_and_from_any_batch(root: Path) -> None:
    settings = config(root, degradation=HALF)
    every = bytes_of(batches(settings))
    assert bytes_of(batches(settings)) == every
    assert bytes_of(batches(settings, batch=5)) == every[5:]
    assert bytes_of(batches(settings, "training")) != every


@pytest.mark.slow
def test_processes_give_the_same_crops(root: Path) -> None:
    settings = config(root, degradation=HALF)
    assert bytes_of(batches(replace(settings, workers=2))) == bytes_of(batches(settings))


def test_hr_stays_what_it_is_without_degradation(root: Path) -> None:
    degraded_ones, clean_ones = batches(config(root, degradation=HALF)), batches(config(root))
    same = 0
    for (lr, hr), (clean, clean_hr) in zip(degraded_ones, clean_ones, strict=True):
        assert hr.equal(clean_hr)
        assert lr.shape == clean.shape
        same += sum(a.equal(b) for a, b in zip(lr, clean, strict=True))
    assert 6 < same < 30  # of 36


@pytest.mark.parametrize(("data", "channels"), [("gray", 1), ("rgb", 1), ("rgb", 3)])
def test_gray_and_rgb_crops_of_every_stage_are_degraded(
    root: Path, data: str, channels: int
) -> None:
    settings = config(root, data, img_channels=channels, degradation=Degradation(probability=1))
    for lr, hr in batches(settings, "training"):
        assert (lr.shape[1:], hr.shape[1:]) == ((channels, 8, 8), (channels, 32, 32))


def test_whole_images_are_degraded(root: Path) -> None:
    settings = config(root, "rgb", cr_patch_size=None, degradation=Degradation(probability=1))
    for lr, hr in batches(settings):
        assert hr.shape[2:] == (4 * lr.shape[2], 4 * lr.shape[3])


def test_crops_are_degraded_and_mild_as_often_as_configured() -> None:
    plain = DegradationPass(
        blur_probability=0, noise_probability=0, jpeg_probability=0, resize={"keep": 1.0}
    )
    settings = Degradation(
        probability=0.6,
        mild_share=0.3,
        real=replace(REAL, first=plain, second=plain),
        mild=replace(MILD, first=plain, second=replace(plain, jpeg_probability=1)),
    )
    lr, hr = np.zeros((4, 4, 3), np.uint8), np.zeros((8, 8, 3), np.uint8)
    n, clean, mild = 2000, 0, 0
    for i in range(n):
        crop = degraded(lr, hr, settings, np.random.default_rng(i))
        clean += not crop.steps
        mild += any(isinstance(step, Jpeg) for step in crop.steps)
    assert abs(clean / n - 0.4) < 0.045  # four standard deviations
    assert abs(mild / n - 0.6 * 0.3) < 0.035


def edge() -> Pixels:
    """A soft edge, and beside it contrasts that are too weak to be sharpened."""
    row = np.concatenate([np.full(40, 60), np.linspace(60, 180, 8), np.full(40, 180)])
    image = np.broadcast_to(row, (88, 88)).copy()
    image[:, ::2] += 3
    return image.astype(np.uint8)[:, :, np.newaxis]


def test_usm_sharpens_edges_and_leaves_weak_contrasts() -> None:
    before, after = edge(), sharpened(edge())
    assert after.dtype == np.uint8
    assert int(after[44, 36, 0]) < before[44, 36, 0] - 5  # beside the edge it gets darker
    assert int(after[44, 51, 0]) > before[44, 51, 0] + 5
    assert np.abs(after[44, :8].astype(int) - before[44, :8]).max() <= 1


def test_targets_are_sharpened_only_where_crops_are_degraded() -> None:
    hr = edge().repeat(3, axis=2)
    lr = hr[::4, ::4]
    settings = Degradation(probability=0.5, usm_targets=True)
    for i in range(20):
        crop = degraded(lr, hr, settings, np.random.default_rng(i))
        assert np.array_equal(crop.hr, sharpened(hr) if crop.steps else hr)
        assert np.array_equal(crop.clean, lr)


def test_the_preview_shows_the_crops_of_the_training(root: Path, tmp_path: Path) -> None:
    settings = config(root, val="rgb", degradation=HALF)
    write_preview(settings, tmp_path / "seen")
    lines = (tmp_path / "seen" / "steps.txt").read_text("utf-8").splitlines()
    assert len(lines) == 32
    assert len([*(tmp_path / "seen").glob("*.png")]) == 32
    lr = np.concatenate([lr.numpy() for lr, _ in batches(settings)])[:32]
    clean = np.concatenate([lr.numpy() for lr, _ in batches(config(root))])[:32]
    for number, line in enumerate(lines):
        with PIL.Image.open(tmp_path / "seen" / f"{number:02}.png") as picture:
            shown = np.asarray(picture)
        assert shown[-1, -1].tolist() == lr[number, :, -1, -1].tolist()
        kept = line == f"{number:02}: nothing"
        assert kept or line.startswith(f"{number:02}: ")
        assert not kept or np.array_equal(lr[number], clean[number])
        assert "Resize (size 8 × 8, method " in line or kept


def preview(root: Path, folder: Path, *more: str) -> int:
    words = ["--preset", "real", "--data_root", str(root), "--degradation.preview", str(folder)]
    for stage in ("pretraining", "training"):
        words += [f"--{stage}.train_datasets=[mine]", f"--{stage}.val_datasets=[rgb]"]
        words += [f"--{stage}.cr_patch_size=[32, 32]"]
    return sr_train(["fit", *words, *more])


def test_the_command_writes_a_preview_and_does_not_train(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert preview(root, tmp_path / "seen") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["seen"]
    assert preview(root, tmp_path / "seen") == 2
    assert capsys.readouterr().err.endswith("there is something already: name a new folder\n")
    assert preview(root, tmp_path / "other", "--run", "mine") == 2
    assert capsys.readouterr().err.endswith("draws crops and starts no run: leave out --run\n")
    assert preview(root, tmp_path / "other", "--print_config") == 2
    told = capsys.readouterr()
    assert told.err.endswith("--degradation.preview draws crops: give one of them\n")
    assert not told.out


def test_a_preview_without_degradation_says_what_to_set(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"degradation\.probability is 0"):
        write_preview(config(root), tmp_path / "seen")
    assert not (tmp_path / "seen").exists()


def test_a_preview_of_missing_data_says_how_to_prepare_it(tmp_path: Path) -> None:
    settings = Config(
        data_root=str(tmp_path),
        degradation=HALF,
        stages="pretraining",
        pretraining=Pretraining(train_datasets=("set5",), val_datasets=("set5",)),
    )
    with pytest.raises(ArgumentError, match="set5"):
        write_preview(settings, tmp_path / "seen")
    assert not (tmp_path / "seen").exists()
