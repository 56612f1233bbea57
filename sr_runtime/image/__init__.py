"""Image files in and out: the names that applications and the rest of the package use."""

from sr_runtime.image.bgr import from_bgr, to_bgr
from sr_runtime.image.formats import (
    IMAGE_SUFFIXES,
    LEFT_OUT,
    LOSSLESS_FORMATS,
    QUALITY_FORMATS,
    SUFFIXES,
    Format,
)
from sr_runtime.image.header import DEFAULT_MAX_PIXELS, Header, read_header
from sr_runtime.image.picture import Picture
from sr_runtime.image.pillow import from_pil, to_pil
from sr_runtime.image.reader import read, read_still
from sr_runtime.image.writer import Output, Quality, write

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "IMAGE_SUFFIXES",
    "LEFT_OUT",
    "LOSSLESS_FORMATS",
    "QUALITY_FORMATS",
    "SUFFIXES",
    "Format",
    "Header",
    "Output",
    "Picture",
    "Quality",
    "from_bgr",
    "from_pil",
    "read",
    "read_header",
    "read_still",
    "to_bgr",
    "to_pil",
    "write",
]
