"""Image files in and out: the names that applications and the rest of the package use."""

from sr_runtime.image.header import IMAGE_SUFFIXES, Header, read_header
from sr_runtime.image.picture import Picture, from_pil, to_pil
from sr_runtime.image.reader import DEFAULT_MAX_PIXELS, read
from sr_runtime.image.writer import Format, Output, write

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "IMAGE_SUFFIXES",
    "Format",
    "Header",
    "Output",
    "Picture",
    "from_pil",
    "read",
    "read_header",
    "to_pil",
    "write",
]
