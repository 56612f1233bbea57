"""The pictures of a run."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from sr_runtime.resize import downscale, resize
from sr_train.config.schema import Stage
from sr_train.metrics_file import append_metrics, cut_metrics, read_metrics
from sr_train.plots import CAPTION, GAP, WINDOW, comparison, curves, draw_curves

PANELS = {
    "Content loss": ("content", "val_content"),
    "Generator's loss": ("perceptual", "g_total"),
    "Adversarial losses": ("g_adversarial", "d_adversarial"),
    "PSNR Y in dB, higher is better": ("val_psnr_y",),
    "LPIPS, lower is better": ("val_lpips",),
    "Learning rates": ("lr_g", "lr_d"),
}


def measure(path: Path, stages: Sequence[Stage]) -> dict[str, list[list[tuple[float, float]]]]:
    """Write a metrics.csv of distinct numbers; return the points of each column by stage."""
    cut_metrics(path, step=0)
    drawn: dict[str, list[list[tuple[float, float]]]] = {}
    gan_only = {"perceptual", "g_total", "g_adversarial", "d_adversarial", "lr_d"}
    names = [name for panel in PANELS.values() for name in panel]
    for k, stage in enumerate(stages):
        for name in names:
            if stage == "training" or name not in gan_only:
                drawn.setdefault(name, []).append([])
        for step in (10 * k + 5, 10 * k + 10):
            row = {n: step + names.index(n) / 100 for n in names if n in drawn}
            append_metrics(path, step, stage, 1, row)
            for name, value in row.items():
                drawn[name][-1].append((step, value))
    return drawn


@pytest.mark.slow
@pytest.mark.parametrize("stages", [("pretraining",), ("training",), ("pretraining", "training")])
def test_curves_show_everything_measured_with_a_line_for_each_stage(
    stages: tuple[Stage, ...], tmp_path: Path
) -> None:
    path = tmp_path / "metrics.csv"
    measured = measure(path, stages)
    axes = {each.get_title(loc="left"): each for each in curves(read_metrics(path)).axes}
    expected = {t: names for t, names in PANELS.items() if names[0] in measured}
    assert list(axes) == list(expected)
    for title, names in expected.items():
        lines = [[tuple(xy) for xy in line.get_xydata()] for line in axes[title].lines]
        assert lines == [line for name in names for line in measured.get(name, [])]
        styles = {line.get_linestyle() for line in axes[title].lines}
        assert len(styles) == len([name for name in names if name in measured])
    draw_curves(tmp_path)
    with PIL.Image.open(tmp_path / "curves.png") as picture:
        assert picture.format == "PNG"


def test_a_run_without_measurements_has_no_curves(tmp_path: Path) -> None:
    cut_metrics(tmp_path / "metrics.csv", step=0)
    draw_curves(tmp_path)
    assert not (tmp_path / "curves.png").exists()


def noise(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, channels), np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_comparison_shows_lr_bicubic_sr_and_hr_in_this_order(channels: int) -> None:
    hr = noise(160, 180, channels)
    lr = downscale(hr, 4)
    sr = 255 - hr
    picture = comparison(lr, {"SR": sr}, hr, 4)
    assert picture.shape == (CAPTION + 160, 4 * 180 + 3 * GAP, 3)
    nearest = np.kron(lr, np.ones((4, 4, 1), np.uint8))
    for index, expected in enumerate((nearest, resize(lr, 160, 180), sr, hr)):
        left = index * (180 + GAP)
        panel = picture[CAPTION:, left : left + 180]
        assert np.array_equal(panel, np.broadcast_to(expected, (160, 180, 3)))
        assert (picture[:CAPTION, left : left + 180] < 128).any()  # the caption


@pytest.mark.parametrize(("height", "width"), [(16, 20), (512, 12)])
def test_captions_of_small_images_do_not_overlap(height: int, width: int) -> None:
    hr = noise(height, width, 3)
    picture = comparison(downscale(hr, 4), {"a network": hr}, hr, 4)
    column = (picture.shape[1] + GAP) // 4
    for left in range(column, picture.shape[1], column):
        assert (picture[:CAPTION, left - 2 * GAP : left] == 255).all()
    factor = (picture.shape[0] - CAPTION) // height
    assert (factor > 1) == (height < WINDOW)
    panel = picture[CAPTION:, 2 * column :][:, : factor * width]
    assert np.array_equal(panel, hr.repeat(factor, axis=0).repeat(factor, axis=1))


def test_a_large_image_is_compared_in_its_middle() -> None:
    hr = noise(WINDOW + 40, 180, 3)
    picture = comparison(downscale(hr, 4), {"SR": hr}, hr, 4)
    assert np.array_equal(picture[CAPTION:, -180:], hr[20:-20])
