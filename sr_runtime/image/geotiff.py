"""TIFFs that state their place on the Earth, recognised without a library for them."""

import contextlib
from pathlib import Path

from sr_runtime.image.tiff_directories import tiff_directories

__all__ = ["is_geotiff"]

# ModelPixelScale, ModelTiepoint, ModelTransformation and GeoKeyDirectory (OGC 19-008r4, 7.1), and
# the rational polynomial coefficients of a satellite's camera (GDAL's RPCCoefficientTag).
PLACE = {33550, 33922, 34264, 34735, 50844}


def is_geotiff(path: Path) -> bool:
    """Whether a file is a TIFF with a coordinate system or a place in one; False if unreadable."""
    with contextlib.suppress(OSError, ValueError), path.open("rb") as file:
        return not PLACE.isdisjoint(next(tiff_directories(file), {}))
    return False
