"""PSNR and SSIM against their plain definitions, and the table made of them."""

import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sr_runtime.errors import ArgumentError
from sr_runtime.evaluation.metrics import Channel, psnr, ssim
from sr_runtime.evaluation.pairs import Pair
from sr_runtime.evaluation.scoring import Score, mean, models_table, score, table

CHANNELS: list[Channel] = ["y", "rgb"]


def plain_planes(image: NDArray[np.generic], channel: Channel) -> list[NDArray[np.float64]]:
    """The planes of a gray or RGB image, on a scale of 255."""
    values = image.astype(np.float64) / np.iinfo(image.dtype).max
    red, green, blue = (values[:, :, min(k, image.shape[2] - 1)] for k in range(3))
    if channel == "rgb":
        return [255 * red, 255 * green, 255 * blue]
    return [16 + 65.481 * red + 128.553 * green + 24.966 * blue]


def plain_psnr(a: NDArray[np.generic], b: NDArray[np.generic], channel: Channel) -> float:
    differences = np.subtract(plain_planes(a, channel), plain_planes(b, channel))
    return 20 * math.log10(255 / math.sqrt((differences**2).mean()))


def plain_ssim(a: NDArray[np.generic], b: NDArray[np.generic], channel: Channel) -> float:
    window = np.array(
        [[math.exp(-(i * i + j * j) / (2 * 1.5 * 1.5)) for i in range(-5, 6)] for j in range(-5, 6)]
    )
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for plane_a, plane_b in zip(plain_planes(a, channel), plain_planes(b, channel), strict=True):
        for row in range(len(a) - 10):
            for column in range(a.shape[1] - 10):
                x = plane_a[row : row + 11, column : column + 11]
                y = plane_b[row : row + 11, column : column + 11]
                mean_x, mean_y = (window * x).sum(), (window * y).sum()
                deviation_x, deviation_y = x - mean_x, y - mean_y
                covariance = (window * deviation_x * deviation_y).sum()
                variances = (window * (deviation_x**2 + deviation_y**2)).sum()
                values.append(
                    (2 * mean_x * mean_y + c1)
                    * (2 * covariance + c2)
                    / ((mean_x**2 + mean_y**2 + c1) * (variances + c2))
                )
    return float(np.mean(values))


def noisy(
    height: int, width: int, channels: int, dtype: type = np.uint8
) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
    """A picture of soft stripes, and the same with noise."""
    rng = np.random.default_rng(height * width)
    peak = np.iinfo(dtype).max
    rows, columns, planes = np.ogrid[:height, :width, :channels]
    clean = 0.5 + 0.4 * np.sin(rows / 5 + columns / 3 + planes)
    dirty = np.clip(clean + rng.normal(0, 0.1, clean.shape), 0, 1)
    return (clean * peak).astype(dtype), (dirty * peak).astype(dtype)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("height", [11, 70, 150])
def test_both_equal_their_definitions(
    height: int, dtype: type, channels: int, channel: Channel
) -> None:
    a, b = noisy(height, 14, channels, dtype)
    expected = plain_psnr(a, b, channel)
    assert psnr(a, b, channel=channel, crop=0) == pytest.approx(expected, rel=1e-12)
    expected = plain_ssim(a, b, channel)
    assert ssim(a, b, channel=channel, crop=0) == pytest.approx(expected, rel=1e-12)


def test_luma_spans_the_studio_range() -> None:
    black, white = np.zeros((12, 12, 3), np.uint8), np.full((12, 12, 3), 255, np.uint8)
    assert psnr(black, white, channel="rgb", crop=0) == 0
    studio = 20 * math.log10(255 / (235 - 16))
    assert psnr(black, white, channel="y", crop=0) == pytest.approx(studio, rel=1e-12)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_equal_images_score_infinity_and_one(dtype: type, channel: Channel) -> None:
    image, _ = noisy(30, 40, 3, dtype)
    assert psnr(image, image, channel=channel, crop=0) == math.inf
    assert ssim(image, image, channel=channel, crop=0) == 1


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("metric", [psnr, ssim])
def test_gray_counts_as_equal_red_green_and_blue(
    metric: Callable[..., float], channel: Channel
) -> None:
    gray, other = noisy(30, 40, 1)
    colored = np.repeat(gray, 3, axis=2)
    as_gray = metric(gray, other, channel=channel, crop=2)
    assert metric(colored, other, channel=channel, crop=2) == pytest.approx(as_gray, rel=1e-12)
    assert metric(other, colored, channel=channel, crop=2) == pytest.approx(as_gray, rel=1e-12)
    equal = metric(gray, gray, channel=channel, crop=2)
    assert metric(gray, colored, channel=channel, crop=2) == pytest.approx(equal, rel=1e-12)


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("metric", [psnr, ssim])
def test_sixteen_bits_score_as_the_same_picture_in_eight(
    metric: Callable[..., float], channel: Channel
) -> None:
    a, b = noisy(30, 40, 3)
    wide = metric(a.astype(np.uint16) * 257, b.astype(np.uint16) * 257, channel=channel, crop=0)
    assert wide == pytest.approx(metric(a, b, channel=channel, crop=0), rel=1e-12)


@pytest.mark.parametrize("channel", CHANNELS)
def test_only_what_lies_within_the_crop_counts(channel: Channel) -> None:
    image, _ = noisy(30, 40, 3)
    frame = image.copy()
    frame[3:-3, 3:-3] = 0
    framed = image - frame
    assert psnr(image, framed, channel=channel, crop=3) == math.inf
    assert ssim(image, framed, channel=channel, crop=3) == 1
    assert psnr(image, framed, channel=channel, crop=2) < 40
    assert ssim(image, framed, channel=channel, crop=2) < 1


def test_large_images_are_not_held_as_floats() -> None:
    a = np.zeros((3000, 400, 3), np.uint8)
    b = a + np.uint8(1)
    tracemalloc.start()
    psnr(a, b, channel="rgb", crop=4)
    ssim(a, b, channel="y", crop=4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < a.size * np.dtype(np.float64).itemsize / 4


@pytest.mark.parametrize(
    ("a", "b", "crop", "says"),
    [
        (np.zeros((20, 20, 3), np.uint8), np.zeros((20, 24, 3), np.uint8), 0, "20×20.*20×24"),
        (np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20, 3), np.uint16), 0, "uint8.*uint16"),
        (np.zeros((20, 20, 4), np.uint8), np.zeros((20, 20, 4), np.uint8), 0, r"\(20, 20, 4\)"),
        (np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8), 0, r"\(20, 20\)"),
        (np.zeros((20, 20, 3)), np.zeros((20, 20, 3)), 0, "float64"),
        (np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20, 3), np.uint8), 10, "10 pixels"),
        (np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20, 3), np.uint8), -1, "-1 pixels"),
    ],
)
@pytest.mark.parametrize("metric", [psnr, ssim])
def test_what_cannot_be_compared_is_refused(
    metric: Callable[..., float],
    a: NDArray[np.generic],
    b: NDArray[np.generic],
    crop: int,
    says: str,
) -> None:
    with pytest.raises(ArgumentError, match=says):
        metric(a, b, channel="y", crop=crop)


def test_ssim_needs_room_for_one_window() -> None:
    image, _ = noisy(14, 14, 1)
    assert psnr(image, image, channel="y", crop=2) == math.inf
    with pytest.raises(ArgumentError, match="at least 11×11"):
        ssim(image, image, channel="y", crop=2)


def enlarged(image: NDArray[np.generic]) -> NDArray[np.generic]:
    return image.repeat(2, axis=0).repeat(2, axis=1)


def saved_pair(folder: Path, name: str, height: int, width: int) -> Pair:
    image, _ = noisy(height, width, 3)
    Image.fromarray(image).save(folder / f"{name}.png")
    return Pair(name, folder / f"{name}.png", None)


def test_score_measures_whole_images_with_the_scale_as_border(tmp_path: Path) -> None:
    pairs = [saved_pair(tmp_path, "first", 60, 50), saved_pair(tmp_path, "second", 41, 53)]
    rows = score(enlarged, pairs, scale=2)
    assert [row.name for row in rows] == ["first", "second"]
    for pair, row in zip(pairs, rows, strict=True):
        lr, hr = pair.read(2)
        sr = enlarged(lr)
        assert row.psnr_y == psnr(sr, hr, channel="y", crop=2)
        assert row.ssim_y == ssim(sr, hr, channel="y", crop=2)
        assert row.psnr_rgb == psnr(sr, hr, channel="rgb", crop=2)
        assert row.ssim_rgb == ssim(sr, hr, channel="rgb", crop=2)
    assert score(enlarged, pairs, scale=2, crop=5) != rows


def test_score_says_which_image_it_cannot_measure(tmp_path: Path) -> None:
    pairs = [saved_pair(tmp_path, "good", 40, 40), saved_pair(tmp_path, "tiny", 12, 40)]
    with pytest.raises(ArgumentError, match=r"tiny: .*at least 11×11"):
        score(enlarged, pairs, scale=2)


def test_the_mean_is_taken_of_every_column() -> None:
    rows = [Score("a", 30.0, 0.9, 28.0, 0.8), Score("b", 34.0, 0.7, 29.0, 0.6)]
    assert mean(rows) == Score("mean", 32.0, pytest.approx(0.8), 28.5, pytest.approx(0.7))


def test_the_table_states_its_protocol_and_ends_with_mean_and_references() -> None:
    rows = [Score("a", 30.0, 0.9, 28.0, 0.8), Score("butterfly", 34.0, 0.7, math.inf, 1.0)]
    text = table(rows, crop=4, references=[Score("bicubic mean", 25.0, 0.5, 24.0, 0.4)])
    head, blank, *body = text.splitlines()
    assert head.startswith("2 images")
    assert "4 pixels" in head
    assert "BT.601" in head
    assert not blank
    assert body == [
        "| image        | PSNR Y | SSIM Y | PSNR RGB | SSIM RGB |",
        "|:-------------|-------:|-------:|---------:|---------:|",
        "| a            | 30.000 | 0.9000 |   28.000 |   0.8000 |",
        "| butterfly    | 34.000 | 0.7000 |      inf |   1.0000 |",
        "| mean         | 32.000 | 0.8000 |      inf |   0.9000 |",
        "| bicubic mean | 25.000 | 0.5000 |   24.000 |   0.4000 |",
    ]


def test_a_learned_distance_sees_the_images_without_their_borders(tmp_path: Path) -> None:
    pair = saved_pair(tmp_path, "a", 40, 48)
    seen: list[NDArray[np.generic]] = []

    def distance(sr: NDArray[np.generic], hr: NDArray[np.generic]) -> float:
        seen.extend((sr, hr))
        return 0.25

    (row,) = score(enlarged, [pair], scale=2, crop=3, distances={"lpips": distance})
    assert row.lpips == 0.25
    lr, hr = pair.read(2)
    np.testing.assert_array_equal(seen[0], enlarged(lr)[3:-3, 3:-3])
    np.testing.assert_array_equal(seen[1], hr[3:-3, 3:-3])
    (without,) = score(enlarged, [pair], scale=2, crop=3)
    assert without.lpips is None


def test_lpips_has_a_mean_only_if_every_image_has_it() -> None:
    rows = [Score("a", 30.0, 0.9, 28.0, 0.8, 0.2), Score("b", 34.0, 0.7, 29.0, 0.6, 0.4)]
    assert mean(rows).lpips == pytest.approx(0.3)
    assert mean([*rows, Score("c", 34.0, 0.7, 29.0, 0.6)]).lpips is None


def test_one_table_shows_several_models_and_lpips_where_there_is_any() -> None:
    rows = [Score("a.onnx", 30.0, 0.9, 28.0, 0.8, 0.12345), Score("bicubic", 25.0, 0.5, 24.0, 0.4)]
    head, _, *body = models_table(rows, images=7, crop=4).splitlines()
    assert head.startswith("7 images")
    assert "LPIPS v0.1 with SqueezeNet" in head
    assert body == [
        "| model   | PSNR Y | SSIM Y | PSNR RGB | SSIM RGB |  LPIPS |",
        "|:--------|-------:|-------:|---------:|---------:|-------:|",
        "| a.onnx  | 30.000 | 0.9000 |   28.000 |   0.8000 | 0.1235 |",
        "| bicubic | 25.000 | 0.5000 |   24.000 |   0.4000 |        |",
    ]
