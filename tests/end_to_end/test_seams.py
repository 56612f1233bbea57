"""No seams: a real network on a real photo, in small tiles and whole."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

import sr_runtime
from tests.runtime.every_row import cpu_precisions

pytestmark = pytest.mark.slow

Upscaled = Callable[[str, str, int], NDArray[np.uint8]]


@pytest.fixture(scope="module")
def photo(data: Path) -> NDArray[np.uint8]:
    """The middle of a photo."""
    with PIL.Image.open(data / "photos" / "coffee.png") as image:
        return np.asarray(image.convert("RGB"))[40:360, 140:460]


@pytest.fixture(scope="module")
def upscaled(exported: Callable[[str], Path], photo: NDArray[np.uint8]) -> Upscaled:
    """`upscaled(precision, halo, tile)`: the photo, upscaled once for the same arguments."""
    model = exported("realesr-animevideov3")

    @cache
    def upscaled(precision: str, halo: str, tile: int) -> NDArray[np.uint8]:
        options = {"precision": precision, "halo": halo, "tile": tile}
        with sr_runtime.load(model, **options) as upscaler:
            assert (len(upscaler.plan(*photo.shape[:2])) > 1) == (tile < 320)
            return upscaler.upscale(photo)

    return upscaled


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("halo", "most"), [("auto", 1), ("exact", 0)])
def test_tiles_cannot_be_told_from_the_whole_photo(
    precision: str, halo: str, most: int, upscaled: Upscaled
) -> None:
    if precision not in cpu_precisions():
        pytest.skip(f"no {precision} on this processor")
    whole = upscaled(precision, "auto", 1024)
    difference = upscaled(precision, halo, 96).astype(int) - whole
    assert np.abs(difference).max() <= most
