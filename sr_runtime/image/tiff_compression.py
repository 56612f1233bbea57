"""TIFFs whose pixels are compressed in a way that cannot be read here: that is no damage."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from PIL import Image
from PIL.ExifTags import Base

from sr_runtime.errors import ImageError, SRError, system_error
from sr_runtime.image.tiff_directories import tiff_directories

__all__ = ["told_apart_from_damage", "unread_tiff"]

UNKNOWN_TO_PILLOW = {
    9: "JBIG",
    10: "JBIG",
    32766: "NeXT",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG of DNG",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
OPTIONAL = {"lzma": "LZMA", "webp": "WebP", "zstd": "Zstandard"}
"""What libtiff can be built without, by Pillow's names."""


def unread_tiff(file: BinaryIO) -> ImageError:
    """What to say of a TIFF that Pillow does not open."""
    first = next(tiff_directories(file), {})
    for number in first.get(Base.Compression, ()):
        if number in UNKNOWN_TO_PILLOW:
            return _not_read(UNKNOWN_TO_PILLOW[number], "cannot be read")
    return ImageError(
        "it begins as a TIFF, and is damaged or holds pixels of a kind that cannot be read: save "
        "it as gray or RGB of 8 or 16 bits first"
    )


@contextmanager
def told_apart_from_damage(image: Image.Image) -> Iterator[None]:
    """Name the compression if the block fails to decode one that libtiff may not have."""
    try:
        yield
    except SRError:
        raise
    except (OSError, ValueError) as error:  # of Pillow and of libvips
        name = OPTIONAL.get(str(image.info.get("compression")))
        if name is None or image.format != "TIFF" or system_error(error):
            raise
        raise _not_read(name, "is damaged or not read by this libtiff") from error


def _not_read(name: str, what: str) -> ImageError:
    return ImageError(f"its {name} compression {what}: save it with LZW or Deflate first")
