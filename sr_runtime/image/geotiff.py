"""TIFFs that state their place on the Earth, recognised without a library for them."""

import contextlib
from pathlib import Path

from PIL.ExifTags import Base

from sr_runtime.image.tiff_directories import tiff_directories

__all__ = ["geotiff_size", "is_geotiff"]

# ModelPixelScale, ModelTiepoint, ModelTransformation and GeoKeyDirectory (OGC 19-008r4, 7.1), and
# the rational polynomial coefficients of a satellite's camera (GDAL's RPCCoefficientTag).
PLACE = {33550, 33922, 34264, 34735, 50844}


def is_geotiff(path: Path) -> bool:
    """Whether a file is a TIFF with a coordinate system or a place in one; False if unreadable."""
    return geotiff_size(path) is not None


def geotiff_size(path: Path) -> tuple[int, int] | None:
    """(height, width) of a GeoTIFF; None of another file, or one that cannot be read."""
    with contextlib.suppress(OSError, ValueError, KeyError), path.open("rb") as file:
        tags = next(tiff_directories(file), {})
        if not PLACE.isdisjoint(tags):
            (height, *_), (width, *_) = tags[Base.ImageLength], tags[Base.ImageWidth]
            return height, width
    return None
