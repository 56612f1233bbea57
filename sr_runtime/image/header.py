"""Opening image files: the formats, what goes wrong, and what their headers state."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import ExifTags, Image, UnidentifiedImageError

from sr_runtime.errors import ImageError, OutOfMemoryError, SRError, about
from sr_runtime.image.bit_depth import bits_per_channel
from sr_runtime.image.exif import descriptive_exif

__all__ = [
    "FORMATS",
    "IMAGE_SUFFIXES",
    "SIDEWAYS",
    "Header",
    "frame_indices",
    "read_header",
    "reading",
]

# Pillow knows more formats; EPS would run Ghostscript on the file, others are cut to 8 bits.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM", "QOI", "TGA")

# The images of a folder; a file named explicitly may have any suffix.
# fmt: off
IMAGE_SUFFIXES = frozenset((
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm",
    ".qoi", ".tga", ".tif", ".tiff", ".webp",
))
# fmt: on

SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that exchange height and width."""


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


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read the facts of an image without its pixels; raises ImageError and OutOfMemoryError."""
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


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise what Pillow raises in the block as our errors about `path`."""
    with about(path):
        try:
            yield
        except SRError:
            raise
        except MemoryError as error:
            raise OutOfMemoryError(
                "not enough memory to open it: close other programs or use a smaller image"
            ) from error
        except UnidentifiedImageError as error:
            raise ImageError(f"not an image that can be read ({', '.join(FORMATS)})") from error
        except Image.DecompressionBombError as error:
            # Pillow checks its own limit first, unless the program has switched it off.
            raise ImageError(
                f"{str(error).partition(',')[0]} of Pillow: raise it with --max-pixels, or in "
                "Python with PIL.Image.MAX_IMAGE_PIXELS"
            ) from error
        except Exception as error:  # damaged files make decoders raise nearly anything
            if isinstance(error, OSError) and error.strerror:  # the system's, not a decoder's
                raise ImageError(error.strerror) from error
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ImageError(
                f"the file is damaged ({reason}): replace it or leave it out"
            ) from error


def frame_indices(image: Image.Image) -> range:
    """The frames that a viewer shows."""
    if image.format == "MPO":
        return range(1)
    # An APNG may begin with a still for viewers that show no animation.
    first = 1 if getattr(image, "default_image", False) else 0
    return range(first, getattr(image, "n_frames", 1))


def _orientation(image: Image.Image) -> int | None:
    # If a PNG has no EXIF before its pixels, Pillow decodes them all to look for it behind them.
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys():
        return None
    return descriptive_exif(image).get(ExifTags.Base.Orientation)
