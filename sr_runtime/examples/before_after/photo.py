"""The photo that is shown: read, cut to what a page holds, and made fit for the eye."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image

from sr_runtime.errors import ImageError
from sr_runtime.examples.before_after.details import Box, around, fine_detail, windows
from sr_runtime.image import DEFAULT_MAX_PIXELS, Picture, read, read_header, to_pil

__all__ = ["as_shown", "cut", "part_to_show", "read_photo"]

# Limits on the enlargement that a page holds: a larger one would look bad in three megabytes.
MAX_PIXELS = 4096 * 3072  # of a photo of 1024×768 pixels, four times enlarged
MAX_SIDE = 16383  # of a WebP

GRID = 16
"""Pixels per side of the squares in which a large photo is searched."""


def read_photo(path: Path) -> Picture:
    """The photo, upright. Raises ImageError if it is not one still image of a size that is read."""
    header = read_header(path)
    if header.frames > 1:
        raise ImageError(
            f"it has {header.frames} frames, and a page shows one: take one out first, or upscale "
            "all with python -m sr_runtime upscale",
            path=path,
        )
    if header.width * header.height > DEFAULT_MAX_PIXELS:
        raise ImageError(
            f"it has {header.width}×{header.height} pixels, and at most "
            f"{DEFAULT_MAX_PIXELS / 1e6:.0f} megapixels are read: cut out a part first",
            path=path,
        )
    return read(path)


def as_shown(picture: Picture) -> PIL.Image.Image:
    """A picture in RGB of 8 bits, on white where it is transparent."""
    frame = picture.frames[0]
    if frame.dtype == np.uint16:
        frame = np.rint(frame / np.float32(257)).astype(np.uint8)
    image = to_pil(replace(picture, frames=(frame,)))
    shown = PIL.Image.new("RGB", image.size, "white")
    alpha = image.getchannel("A") if "A" in image.getbands() else None
    shown.paste(image.convert("RGB"), mask=alpha)
    if len(image.getbands()) >= 3:  # a profile of gray does not describe RGB
        shown.info["icc_profile"] = picture.icc_profile
    return shown


def part_to_show(photo: PIL.Image.Image, scale: int, middle: tuple[int, int] | None) -> Box:
    """All of a photo, or of a large one the part with most detail, or the part around `middle`.

    The part has the photo's proportions, unless one side would be longer than a WebP may be.
    """
    shrink = min(1, math.sqrt(MAX_PIXELS / (photo.width * photo.height)) / scale)
    width, height = (
        min(max(1, int(side * shrink)), MAX_SIDE // scale) for side in (photo.width, photo.height)
    )
    if (width, height) == photo.size:
        return 0, 0, width, height
    if middle is None:
        square = min(GRID, width, height)
        detail = fine_detail(photo, square)
        ((left, top),) = windows(detail, width // square, height // square, count=1)
        middle = left * square + width // 2, top * square + height // 2
    return around(middle, width, height, within=photo.size)


def cut(picture: Picture, box: Box) -> Picture:
    """A part of a picture, with all of its metadata."""
    left, top, right, bottom = box
    return replace(picture, frames=(picture.frames[0][top:bottom, left:right],))
