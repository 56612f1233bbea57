"""Images in and out: the names that the rest of the package and applications use."""

from sr_runtime.image.picture import Picture, from_pil, to_pil
from sr_runtime.image.reader import DEFAULT_MAX_PIXELS, IMAGE_SUFFIXES, read, size_and_frames
from sr_runtime.image.writer import Format, check_quality, check_writable, output_format, write

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "IMAGE_SUFFIXES",
    "Format",
    "Picture",
    "check_quality",
    "check_writable",
    "from_pil",
    "output_format",
    "read",
    "size_and_frames",
    "to_pil",
    "write",
]
