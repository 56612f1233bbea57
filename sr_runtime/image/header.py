"""Opening image files: the formats, what goes wrong, and what their headers state."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import Base

from sr_runtime.errors import (
    ArgumentError,
    ImageError,
    OutOfMemoryError,
    SRError,
    about,
    system_error,
)
from sr_runtime.image.bit_depth import bits_per_channel
from sr_runtime.image.exif import ORIENTATION, orientation_of
from sr_runtime.image.formats import formats_for
from sr_runtime.image.jxl import check_jxl
from sr_runtime.image.open_header import open_header
from sr_runtime.image.png import SIGNATURE, open_png
from sr_runtime.image.raw import refuse_raw
from sr_runtime.image.stated_colors import state_colors
from sr_runtime.image.unread import unread
from sr_runtime.printable import shown

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "SIDEWAYS",
    "Header",
    "check_max_pixels",
    "frame_indices",
    "header_of",
    "opened",
    "read_header",
    "reading",
]

# How Pillow, libtiff and libvips say that they cannot do something; the file may be intact.
LIMITATION = re.compile("not (configured|implemented|supported)|unsupported|unknown raw mode", re.I)

REDUCED, MASK = 1, 4  # bits of TIFF's tag NewSubfileType
OLD_REDUCED = 2  # of TIFF 5.0's SubfileType

DEFAULT_MAX_PIXELS = 2**27
"""About 134 megapixels: the limit on all frames of a file together."""

SIDEWAYS = (5, 6, 7, 8)
"""EXIF orientations that exchange height and width."""


@dataclass(frozen=True)
class Header:
    """The size and kind of an image."""

    height: int
    width: int
    """Both upright, as `read` returns the image."""
    frames: int
    """Frames of an animation, or pages of a TIFF."""
    bits: int
    """The most bits of any channel."""
    gray: bool
    alpha: bool


def read_header(path: str | os.PathLike[str]) -> Header:
    """Read the facts of an image without its pixels; raises ImageError and OutOfMemoryError."""
    with (
        reading(path),
        Path(path).open("rb") as file,
        opened(file, DEFAULT_MAX_PIXELS, pixels=False) as image,
    ):
        height, width = image.height, image.width
        # Pillow has turned the size of a TIFF by its tag already, but not by its XMP.
        turned = image.format == "TIFF" and image.tag_v2.get(ORIENTATION) in SIDEWAYS  # type: ignore[attr-defined]
        if orientation_of(image) in SIDEWAYS and not turned:
            height, width = width, height
        return Header(
            height=height,
            width=width,
            frames=len(frame_indices(image)),
            bits=bits_per_channel(image),
            gray=image.mode in ("1", "L", "LA", "I", "I;16", "I;16L", "I;16B", "I;16N"),
            alpha=image.has_transparency_data,
        )


def header_of(path: Path) -> Header | None:
    """The header of an image; None if it cannot be read, which reading it will report."""
    try:
        return read_header(path)
    except (ImageError, OutOfMemoryError):
        return None


def check_max_pixels(max_pixels: object) -> None:
    """Raise ArgumentError for what is no limit on pixels."""
    if type(max_pixels) is not int or max_pixels < 1:
        raise ArgumentError(f"max_pixels is {shown(max_pixels)}: give a whole number, at least 1")


def opened(file: BinaryIO, max_pixels: int, *, pixels: bool) -> Image.Image:
    """Pillow's image of a file. Nothing is decoded, except for a JPEG XL.

    Args:
        max_pixels: Limit on a JPEG XL.
        pixels: Whether they will be loaded.
    """
    start = file.read(64)
    refuse_raw(file)
    try:
        if start.startswith(SIGNATURE):
            image = open_png(file, pixels=pixels)
        else:
            formats = formats_for(start)
            if formats == ("JXL",):
                check_jxl(file, max_pixels)
            file.seek(0)
            image = Image.open(file, formats=formats) if pixels else open_header(file, formats)
    except UnidentifiedImageError as error:
        raise unread(file, start) from error
    state_colors(image)
    return image


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise what Pillow raises in the block as our errors about `path`."""
    with about(path):
        if "\0" in os.fsdecode(path):
            raise ImageError("no file can have this name, which holds a zero byte")
        try:
            yield
        except SRError:
            raise
        except MemoryError as error:
            raise OutOfMemoryError(
                "not enough memory to open it: close other programs or use a smaller image"
            ) from error
        except Image.DecompressionBombError as error:
            # Pillow checks its own limit first, unless the program has switched it off.
            raise ImageError(
                f"{str(error).partition(',')[0]} of Pillow: raise it with --max-pixels, or in "
                "Python with PIL.Image.MAX_IMAGE_PIXELS"
            ) from error
        except Exception as error:  # damaged files make decoders raise nearly anything
            if (refused := system_error(error)) and refused.strerror:
                raise ImageError(refused.strerror) from error
            # The first sentence; libjxl's second one is advice for its developers.
            reason = " ".join(str(error).split()).partition(". ")[0]
            if LIMITATION.search(reason):
                raise ImageError(
                    f"it is stored in a way that cannot be read here ({reason}): save it again as "
                    "PNG"
                ) from error
            raise ImageError(
                f"the file is damaged{f' ({reason})' if reason else ''}: replace it or leave it out"
            ) from error


def frame_indices(image: Image.Image) -> Sequence[int]:
    """The frames, or pages, that a viewer shows."""
    if image.format == "MPO":
        return range(1)
    if image.format == "HEIF":  # its other pictures are a burst or a collection
        return range(image.tell(), image.tell() + 1)
    if image.format == "TIFF":
        return _pages(image)
    # An APNG may begin with a still for viewers that show no animation.
    first = 1 if getattr(image, "default_image", False) else 0
    return range(first, getattr(image, "n_frames", 1))


def _pages(image: Image.Image) -> Sequence[int]:
    """A TIFF's pages that are neither a reduced copy of another nor a mask (TIFF 6.0, 254).

    Raises ImageError if there are only reduced copies, as in a camera's raw file.
    """
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    pages = []
    for index in range(image.n_frames):  # type: ignore[attr-defined]
        image.seek(index)
        kind = int(tags.get(Base.NewSubfileType, 0))
        if not kind & (REDUCED | MASK) and tags.get(Base.SubfileType) != OLD_REDUCED:
            pages.append(index)
    if not pages:
        raise ImageError(
            f"it holds only a preview, of {image.width}×{image.height} pixels: if it is a camera's "
            "raw file, develop it first"
        )
    image.seek(pages[0])
    return pages
