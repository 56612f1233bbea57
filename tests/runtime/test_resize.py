"""MATLAB's bicubic, against the benchmark images made with it and against its plain definition."""

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sr_runtime.errors import ArgumentError
from sr_runtime.resize import downscale, mod_crop, resize


def plain_weights(length: int, wanted: int) -> NDArray[np.float64]:
    """The definition, tap by tap: (wanted, length)."""
    weights = np.zeros((wanted, length))
    scale = wanted / length
    stretch = max(1 / scale, 1)
    for output in range(wanted):
        centre = (output + 0.5) / scale - 0.5
        for tap in range(math.floor(centre - 2 * stretch), math.ceil(centre + 2 * stretch) + 1):
            x = abs(tap - centre) / stretch
            if x <= 1:
                weight = 1.5 * x**3 - 2.5 * x**2 + 1
            elif x < 2:
                weight = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
            else:
                continue
            weights[output, min(max(tap, 0), length - 1)] += weight
    return weights / weights.sum(axis=1, keepdims=True)


def noise(*shape: int, dtype: type = np.uint8) -> NDArray[np.generic]:
    rng = np.random.default_rng(7)
    if np.issubdtype(dtype, np.floating):
        return rng.random(shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("folder", ["set5", "set14"])
def test_reproduces_the_benchmark_images_bit_for_bit(data: Path, folder: str) -> None:
    sources = sorted((data / folder / "x4").glob("*_HR.png"))
    assert len(sources) == {"set5": 5, "set14": 14}[folder]
    for source in sources:
        made = downscale(np.asarray(Image.open(source)), 4)
        published = np.asarray(Image.open(str(source).replace("_HR", "_LR")))
        np.testing.assert_array_equal(made, published, err_msg=source.name)


@pytest.mark.parametrize(
    ("height", "width"),
    [(20, 30), (7, 9), (41, 64), (80, 120), (13, 90), (90, 13), (1, 1), (40, 7)],
)
def test_equals_the_definition_without_rounding(height: int, width: int) -> None:
    image = noise(40, 60, 3, dtype=np.float64)
    rows, columns = plain_weights(40, height), plain_weights(60, width)
    expected = np.einsum("hr,rsc,ws->hwc", rows, image, columns)
    np.testing.assert_allclose(resize(image, height, width), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(11, 17), (63, 100), (13, 21), (60, 15), (20, 45)])
def test_integers_are_rounded_and_clipped_after_each_axis(
    dtype: type[np.integer], size: tuple[int, int]
) -> None:
    image = noise(40, 60, 3, dtype=dtype)
    image[:20] = np.where(image[:20] > np.iinfo(dtype).max // 2, np.iinfo(dtype).max, 0)

    def along(axis: int, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        weights = plain_weights(pixels.shape[axis], size[axis])
        sums = np.moveaxis(np.tensordot(weights, pixels, (1, axis)), 0, axis)
        return np.clip(np.floor(sums + 0.5 + 1e-9), 0, np.iinfo(dtype).max)

    # The axis that shrinks most comes first, and rows if both shrink alike.
    order = (1, 0) if size[1] / 60 < size[0] / 40 else (0, 1)
    expected = image.astype(np.float64)
    for axis in order:
        expected = along(axis, expected)
    result = resize(image, *size)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)


def test_halves_round_up() -> None:
    image = noise(64, 33)
    exact = resize(image.astype(np.float64), 32, 33)
    halves = (exact % 1 == 0.5) & (exact > 0) & (exact < 255)
    assert halves.any()
    np.testing.assert_array_equal(resize(image, 32, 33)[halves], exact[halves] + 0.5)


def test_turning_the_image_turns_the_result() -> None:
    image = noise(50, 90, 3)
    turned = resize(image.swapaxes(0, 1), 31, 30)
    np.testing.assert_array_equal(turned.swapaxes(0, 1), resize(image, 30, 31))


@pytest.mark.parametrize("size", [(1, 1), (5, 200), (37, 41), (123, 7)])
@pytest.mark.parametrize("value", [0, 100, 255])
def test_a_flat_image_stays_flat(size: tuple[int, int], value: int) -> None:
    result = resize(np.full((30, 50, 3), value, np.uint8), *size)
    assert result.shape == (*size, 3)
    assert (result == value).all()


def test_a_single_pixel_fills_any_size() -> None:
    assert (resize(np.full((1, 1, 3), 9, np.uint8), 8, 5) == 9).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_its_own_size_gives_an_equal_copy(dtype: type) -> None:
    image = noise(20, 70, 3, dtype=dtype)
    result = resize(image, 20, 70)
    np.testing.assert_array_equal(result, image)
    assert not np.shares_memory(result, image)


def test_gray_without_a_channel_axis_keeps_its_rank() -> None:
    image = noise(40, 60)
    result = resize(image, 13, 21)
    assert result.shape == (13, 21)
    np.testing.assert_array_equal(result, resize(image[:, :, None], 13, 21)[:, :, 0])


def test_channels_do_not_mix() -> None:
    image = noise(40, 60, 4)
    result = resize(image, 13, 21)
    for channel in range(4):
        np.testing.assert_array_equal(
            result[:, :, channel], resize(image[:, :, channel], 13, 21), strict=True
        )


def test_downscale_drops_what_the_factor_does_not_divide() -> None:
    image = noise(43, 62, 3)
    assert mod_crop(image, 4).shape == (40, 60, 3)
    np.testing.assert_array_equal(downscale(image, 4), resize(image[:40, :60], 10, 15))


@pytest.mark.parametrize(("height", "width"), [(800, 1200), (4, 6)])
def test_needs_no_more_memory_than_one_axis_and_the_result(height: int, width: int) -> None:
    image = noise(1600, 2400, 3)
    tracemalloc.start()
    result = resize(image, height, width)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    half_way = height * 2400 * 3
    assert peak < half_way + result.nbytes + (8 << 20) < 2 * image.nbytes


@pytest.mark.parametrize(
    ("image", "size", "says"),
    [
        (np.zeros((4, 4, 3), np.int32), (2, 2), "int32"),
        (np.zeros((4,), np.uint8), (2, 2), r"\(4,\)"),
        (np.zeros((0, 4, 3), np.uint8), (2, 2), r"\(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.uint8), (0, 2), "0×2"),
    ],
)
def test_an_image_that_cannot_be_resized_is_refused_with_its_shape_or_type(
    image: NDArray[np.generic], size: tuple[int, int], says: str
) -> None:
    with pytest.raises(ArgumentError, match=says):
        resize(image, *size)


@pytest.mark.parametrize("factor", [0, -2, 5])
def test_a_factor_larger_than_the_image_is_refused(factor: int) -> None:
    with pytest.raises(ArgumentError, match=f"by {factor}"):
        downscale(np.zeros((4, 9, 3), np.uint8), factor)
