"""Transparency leaves no fringes; opaque and clear areas stay exactly so."""

import numpy as np
import pytest

from sr_runtime import transparency
from sr_runtime.transparency import bleed, bleed_reach, bleed_rows, restore_flat_areas

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (13, 1), (16, 16), (37, 50)])
def test_visible_pixels_are_untouched(
    shape: tuple[int, int], channels: int, dtype: type[np.integer]
) -> None:
    color = RNG.integers(0, np.iinfo(dtype).max, (*shape, channels), dtype, endpoint=True)
    alpha = RNG.integers(0, 3, shape, dtype)
    alpha[0, 0] = 1

    result = bleed(color, alpha)

    assert (result.dtype, result.shape) == (dtype, color.shape)
    np.testing.assert_array_equal(result[alpha > 0], color[alpha > 0])


def test_hidden_pixels_take_the_only_visible_color() -> None:
    color = np.zeros((40, 61, 3), np.uint16)
    alpha = np.zeros((40, 61), np.uint16)
    color[20:23, 30:33], alpha[20:23, 30:33] = (65535, 40000, 3), 65535

    np.testing.assert_array_equal(
        bleed(color, alpha), np.broadcast_to((65535, 40000, 3), color.shape)
    )


def test_hidden_pixels_take_the_color_of_what_is_near() -> None:
    color = np.zeros((64, 64, 3), np.uint8)
    alpha = np.zeros((64, 64), np.uint8)
    color[:, :10], color[:, 54:] = (255, 0, 0), (0, 0, 255)
    alpha[:, :10] = alpha[:, 54:] = 255

    result = bleed(color, alpha).astype(int)

    assert np.abs(result[:, 10:13] - (255, 0, 0)).max() < 40
    assert np.abs(result[:, 51:54] - (0, 0, 255)).max() < 40
    assert result[:, 10:54].sum(-1).min() > 200  # no hidden black is left


@pytest.mark.parametrize("alpha", [0, 1, 255])
def test_nothing_changes_where_all_or_nothing_is_visible(alpha: int) -> None:
    color = RNG.integers(0, 256, (9, 7, 3), np.uint8)

    np.testing.assert_array_equal(bleed(color, np.full((9, 7), alpha, np.uint8)), color)


def test_rows_and_columns_alone_bleed_as_the_whole_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transparency, "COLUMNS", 300)
    color = RNG.integers(0, 256, (1700, 1900, 3), np.uint8)
    alpha = np.zeros((1700, 1900), np.uint8)
    alpha[:750, :650] = alpha[900, 1000:] = 255
    begin, end = 700, 800
    first, last = bleed_reach(begin, end, len(color))

    rows = bleed_rows(color[first:last], alpha[first:last], slice(begin - first, end - first))

    np.testing.assert_array_equal(rows, bleed(color, alpha)[begin:end])


def test_bleeding_is_deterministic() -> None:
    color = RNG.integers(0, 256, (50, 70, 3), np.uint8)
    alpha = RNG.integers(0, 2, (50, 70), np.uint8)

    np.testing.assert_array_equal(bleed(color, alpha), bleed(color.copy(), alpha.copy()))


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(11, 8), (1, 5), (1, 1)])
def test_alpha_is_the_networks_except_between_equal_pixels(
    shape: tuple[int, int], scale: int
) -> None:
    height, width = shape
    alpha = RNG.choice(np.array([0, 255], np.uint8), shape, p=(0.3, 0.7))
    upscaled = RNG.integers(0, 256, (height * scale, width * scale), np.uint8)

    result = restore_flat_areas(upscaled, alpha, scale)

    for y, x in np.ndindex(upscaled.shape):
        near = [
            int(alpha[row, column])
            for row, column in np.ndindex(shape)
            if abs((y + 0.5) / scale - 0.5 - row) < 1 and abs((x + 0.5) / scale - 0.5 - column) < 1
        ]
        assert result[y, x] == (near[0] if min(near) == max(near) else upscaled[y, x])


def test_a_ringing_network_cannot_open_what_is_opaque() -> None:
    alpha = np.zeros((8, 12), np.uint16)
    alpha[:, 6:] = 65535
    upscaled = RNG.integers(0, 65536, (32, 48), np.uint16)

    result = restore_flat_areas(upscaled, alpha, 4)

    assert result.dtype == np.uint16
    assert (result[:, :22] == 0).all()
    assert (result[:, 26:] == 65535).all()
    np.testing.assert_array_equal(result[:, 22:26], upscaled[:, 22:26])
