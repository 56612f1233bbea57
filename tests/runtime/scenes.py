"""GeoTIFFs that tests make and upscale."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr_runtime import Upscaler
from sr_runtime.large.output import LargeOutput
from sr_runtime.large.upscale import upscale_large
from sr_runtime.output_size import OutputSize

rasterio = pytest.importorskip("rasterio", exc_type=ImportError)
pytest.importorskip("rasterio.shutil")

RNG = np.random.default_rng(5)
PLACE = rasterio.Affine(2, 0, 500_000, 0, -2, 5_000_000)
MEANINGS = ("red", "green", "blue", "undefined", "undefined")


def scene(path: Path, bands: np.ndarray, meanings: tuple[str, ...] = (), **profile: Any) -> Path:
    """A GeoTIFF of `(bands, height, width)`."""
    profile = {"crs": "EPSG:32633", "transform": PLACE, "driver": "GTiff", **profile}
    count, height, width = bands.shape
    with rasterio.open(
        path, "w", width=width, height=height, count=count, dtype=bands.dtype, **profile
    ) as file:
        file.write(bands)
        if meanings:
            file.colorinterp = [rasterio.enums.ColorInterp[name] for name in meanings]
    return path


def pixels(count: int, height: int, width: int, dtype: str = "uint8") -> np.ndarray:
    return RNG.integers(5, 250, (count, height, width)).astype(dtype)


def bands_of(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return np.asarray(file.read())


def upscale(upscaler: Upscaler, source: Path, target: Path, **size: float) -> np.ndarray:
    upscale_large(upscaler, source, LargeOutput(target), size=OutputSize(**size))
    assert not list(target.parent.glob("*.part"))
    return bands_of(target)
