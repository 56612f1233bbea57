"""No seams: a real network on a real photo, in small tiles and whole."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

import sr_runtime
from tests.runtime.every_row import cpu_precisions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(exported: Callable[[str], Path]) -> Path:
    return exported("realesr-animevideov3")


@pytest.fixture(scope="module")
def photo(data: Path) -> NDArray[np.uint8]:
    with PIL.Image.open(data / "photos" / "coffee.png") as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("halo", "most"), [("auto", 1), ("exact", 0)])
def test_tiles_cannot_be_told_from_the_whole_photo(precision, halo, most, model, photo) -> None:
    if precision not in cpu_precisions():
        pytest.skip(f"no {precision} on this processor")

    def upscaled(tile: int) -> NDArray[np.uint8]:
        options = {"precision": precision, "halo": halo, "tile": tile}
        with sr_runtime.load(model, **options) as upscaler:
            assert (len(upscaler.plan(*photo.shape[:2])) > 1) == (tile < 600)
            return upscaler.upscale(photo)

    difference = upscaled(96).astype(int) - upscaled(1024)
    assert np.abs(difference).max() <= most
