"""What each format can hold: pixels, frames, transparency, bits and durations."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.errors import ImageError
from sr_runtime.image import sixteen_bit
from sr_runtime.image.formats import Format
from sr_runtime.image.picture import Picture
from sr_runtime.image.tiff import LARGEST_TIFF

__all__ = ["check_limits", "without_opaque_alpha"]

LARGEST_SIDE = {"jpg": 65500, "webp": 16383, "gif": 65535, "avif": 32768}
LARGEST_AVIF = 2**28
"""Pixels: libavif, and so most programs, decode no more."""
LARGEST_LOSSY_WEBP = 2**27
"""Pixels: noise of that size is still written. How its blocks are predicted must fit 512 KiB."""
LONGEST_FRAME = {"png": 65535, "gif": 655350, "webp": 2**24 - 1}
"""Milliseconds that the format can state."""
LARGEST_JPEG_PROFILE = 255 * 65519
"""Bytes: 255 segments."""


def without_opaque_alpha(picture: Picture, format: Format) -> Picture:
    """`picture` without alpha that is opaque everywhere, for a format that cannot hold alpha."""

    def holds(frame: NDArray[Any]) -> bool:
        return format != "jpg" and not (
            format == "tiff" and frame.shape[2] == 2 and frame.dtype == np.uint16
        )

    def is_opaque(frame: NDArray[Any]) -> bool:
        most = 1 if frame.dtype.kind == "f" else np.iinfo(frame.dtype).max
        return frame.shape[2] in (2, 4) and bool((frame[:, :, -1] == most).all())

    pages = tuple(without_opaque_alpha(page, format) for page in picture.pages)
    frames = picture.frames
    if not all(map(holds, frames)) and all(map(is_opaque, frames)):
        frames = tuple(frame[:, :, :-1] for frame in frames)
    return replace(picture, frames=frames, pages=pages)


def check_limits(
    format: Format, picture: Picture, rows: float, columns: float, *, lossless: bool
) -> None:
    """Raise ImageError if `format` cannot hold `picture`, enlarged `rows` × `columns` times."""
    if picture.pages and format != "tiff":
        raise ImageError(f"{format} cannot hold {len(picture.pages) + 1} pages: use tiff")
    nbytes = 0
    for page in (picture, *picture.pages):
        frame = page.frames[0]
        height, width = round(frame.shape[0] * rows), round(frame.shape[1] * columns)
        nbytes += height * width * frame.shape[2] * frame.itemsize
        _check_size(format, height, width, lossless)
        _check_kind(format, frame, len(page.frames))
    if format == "tiff" and nbytes > LARGEST_TIFF:
        raise ImageError(
            f"{nbytes / 1e9:.1f} GB of pixels are more than the 4 GiB of tiff: use png"
        )
    if len(picture.frames) > 1:
        _check_times(format, picture)
    if format == "jpg" and len(picture.icc_profile or b"") > LARGEST_JPEG_PROFILE:
        raise ImageError(
            f"its profile of {len(picture.icc_profile or b'') / 1e6:.0f} MB is more than the "
            f"{LARGEST_JPEG_PROFILE / 1e6:.1f} MB of jpg: use png"
        )


def _check_size(format: Format, height: int, width: int, lossless: bool) -> None:
    side = LARGEST_SIDE.get(format)
    if side is not None and max(height, width) > side:
        raise ImageError(
            f"{width} × {height} exceeds {side} pixels per side, the limit of {format}: use png "
            "or tiff"
        )
    if format == "avif" and height * width > LARGEST_AVIF:
        raise ImageError(
            f"{width} × {height} exceeds {LARGEST_AVIF} pixels, the limit of avif: use png or tiff"
        )
    if format == "webp" and not lossless and height * width > LARGEST_LOSSY_WEBP:
        raise ImageError(
            f"{width} × {height} exceeds {LARGEST_LOSSY_WEBP} pixels, the limit of webp with "
            "losses: use jpg, png, or webp with quality lossless"
        )


def _check_kind(format: Format, frame: NDArray[Any], frames: int) -> None:
    """Raise ImageError for frames, transparency or bits that would be lost."""
    channels = frame.shape[2]
    if frames > 1 and format not in ("png", "webp", "gif"):
        raise ImageError(f"an animation cannot be written as {format}: use gif, webp or png")
    if channels in (2, 4) and format == "jpg":
        raise ImageError("jpg cannot hold transparency: use png, webp or tiff")
    if frame.dtype == np.float32:
        raise ImageError(
            "no format here holds floating-point pixels: use (255 * frame).round().astype('uint8')"
        )
    if frame.dtype != np.uint16:
        return
    if format not in ("png", "tiff"):
        raise ImageError(f"{format} is written with 8 bits and this image has 16: use png or tiff")
    if frames > 1:
        raise ImageError("an animation of 16 bits cannot be written: convert it to 8 bits first")
    if format == "tiff" and channels == 2:
        raise ImageError("few programs read 16-bit gray with alpha from tiff: use png")
    if format == "png" and channels > 1:
        sixteen_bit.load_vips()


def _check_times(format: Format, picture: Picture) -> None:
    durations = picture.durations
    if len(durations) != len(picture.frames):
        raise ImageError(
            f"{len(picture.frames)} frames have {len(durations)} durations: give one each"
        )
    # Encoders store equal frames once, with the sum of their durations.
    longest = total = durations[0]
    for duration, (before, frame) in zip(durations[1:], pairwise(picture.frames), strict=True):
        total = duration + (total if np.array_equal(before, frame) else 0)
        longest = max(longest, total)
    limit = LONGEST_FRAME[format]
    if min(durations) < 0 or longest > limit:
        raise ImageError(
            f"a frame is shown for {longest / 1000:g} s and {format} states 0 to {limit / 1000:g} "
            f"s: {'use webp' if format != 'webp' else 'shorten it'}"
        )
