"""The pictures of a run."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from sr_runtime.resize import downscale, resize
from sr_train.config import Stage
from sr_train.curves import draw_curves
from sr_train.metrics_file import append_metrics, cut_metrics
from sr_train.pictures import CAPTION, GAP, WINDOW, comparison


@pytest.mark.parametrize("stages", [("pretraining",), ("training",), ("pretraining", "training")])
def test_curves_are_drawn_for_any_of_the_stages(stages: tuple[Stage, ...], tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    cut_metrics(path, step=0)
    for step, stage in enumerate(stages, start=1):
        for k in (10 * step, 10 * step + 5):
            append_metrics(path, k, stage, 1, {"content": 1 / k, "lr_g": 1e-4})
        if stage == "training":
            values = {"g_total": 0.5, "val_psnr_y": 20.0, "val_lpips": 0.2}
            append_metrics(path, 30, stage, 1, values)
    draw_curves(tmp_path)
    picture = np.asarray(PIL.Image.open(tmp_path / "curves.png").convert("RGB"))
    # Blue lines, and orange ones where there is LPIPS.
    assert (picture == (31, 119, 180)).all(axis=2).any()
    assert (picture == (255, 127, 14)).all(axis=2).any() == ("training" in stages)


def test_a_run_without_measurements_has_no_curves(tmp_path: Path) -> None:
    cut_metrics(tmp_path / "metrics.csv", step=0)
    draw_curves(tmp_path)
    assert not (tmp_path / "curves.png").exists()


def noise(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_comparison_shows_lr_bicubic_sr_and_hr_in_this_order(channels: int) -> None:
    hr = noise(40, 48, channels)
    lr = downscale(hr, 4)
    sr = 255 - hr
    picture = comparison(lr, {"SR": sr}, hr, 4)
    assert picture.shape == (CAPTION + 40, 4 * 48 + 3 * GAP, 3)
    nearest = np.kron(lr, np.ones((4, 4, 1), np.uint8))
    for index, expected in enumerate((nearest, resize(lr, 40, 48), sr, hr)):
        left = index * (48 + GAP)
        panel = picture[CAPTION:, left : left + 48]
        assert np.array_equal(panel, np.broadcast_to(expected, (40, 48, 3)))
        assert (picture[:CAPTION, left : left + 48] < 128).any()  # the caption


def test_of_a_large_image_the_middle_is_compared() -> None:
    hr = noise(WINDOW + 40, 16, 3)
    picture = comparison(downscale(hr, 4), {"SR": hr}, hr, 4)
    assert np.array_equal(picture[CAPTION:, -16:], hr[20:-20])
