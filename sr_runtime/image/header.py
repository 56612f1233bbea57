"""What a file's header says about the array that `read` would return, without decoding it."""

from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from sr_runtime.image.bit_depth import bits_per_channel
from sr_runtime.image.exif import descriptive_exif
from sr_runtime.image.reader import FORMATS, SIDEWAYS, frame_indices, reading

__all__ = ["Header", "read_header"]


@dataclass(frozen=True)
class Header:
    """The size and kind of an image."""

    height: int
    width: int
    """Both upright, as `read` returns the image."""
    frames: int
    bits: int
    """The most bits of any channel."""
    gray: bool
    alpha: bool


def read_header(path: Path) -> Header:
    """Read a file's header. Raises ImageError and OutOfMemoryError as `read` does."""
    with reading(path), Image.open(path, formats=FORMATS) as image:
        height, width = image.height, image.width
        if _orientation(image) in SIDEWAYS:
            height, width = width, height
        return Header(
            height=height,
            width=width,
            frames=len(frame_indices(image)),
            bits=bits_per_channel(image),
            gray=image.mode in ("1", "L", "LA"),
            alpha=image.has_transparency_data,
        )


def _orientation(image: Image.Image) -> int | None:
    # If a PNG has no EXIF before its pixels, Pillow decodes them all to look for it behind them.
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys():
        return None
    return descriptive_exif(image).get(ExifTags.Base.Orientation)
