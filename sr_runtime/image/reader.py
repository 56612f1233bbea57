"""Reading image files: limits first, then the pixels as a viewer would show them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from sr_runtime.errors import ArgumentError, ImageError
from sr_runtime.image import sixteen_bit
from sr_runtime.image.bit_depth import bits_per_channel
from sr_runtime.image.exif import descriptive_exif
from sr_runtime.image.header import FORMATS, SIDEWAYS, frame_indices, reading
from sr_runtime.image.memory import memory_for
from sr_runtime.image.picture import (
    Picture,
    dpi_of,
    pixels_of,
    pixels_text,
    profile_for,
    rounded_durations,
)

__all__ = ["DEFAULT_MAX_PIXELS", "read"]

DEFAULT_MAX_PIXELS = 2**27
"""About 134 megapixels: the limit on all frames of a file together."""

PHOTOMETRIC, SAMPLE_FORMAT = 262, 339  # TIFF tags
WHITE_IS_ZERO, UNSIGNED = 0, 1

# How the `(H, W, C)` array of each EXIF orientation becomes upright.
TURNS: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def read(path: str | os.PathLike[str], *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Picture:
    """Read an image file: the pixels upright, an animation as the frames that a viewer shows.

    A JPEG of several pictures (MPO) is read as the first of them. Damaged EXIF is dropped.

    Args:
        max_pixels: Limit on width × height × frames, checked before anything is decoded.

    Raises:
        ImageError: The file is missing, damaged, not an image, larger than `max_pixels`, or could
            only be read with a loss.
        OutOfMemoryError: Its pixels do not fit into memory.
        ArgumentError: `max_pixels` is not a whole number, at least 1.
    """
    if type(max_pixels) is not int or max_pixels < 1:
        raise ArgumentError(f"max_pixels is {max_pixels!r}: give a whole number, at least 1")
    with reading(path), Path(path).open("rb") as file:
        image = Image.open(file, formats=FORMATS)
        indices = frame_indices(image)
        _check_size(image, len(indices), max_pixels)
        bits = bits_per_channel(image)
        _check_kind(image, len(indices), bits)
        size = pixels_text(image.height, image.width, len(indices))
        pixels = image.width * image.height * len(indices)
        with memory_for(f"read {size}", pixels * len(image.getbands()) * (2 if bits > 8 else 1)):
            return _picture(image, indices, bits, file, max_pixels)


def _picture(
    image: Image.Image, indices: range, bits: int, file: BinaryIO, max_pixels: int
) -> Picture:
    durations: tuple[int, ...] = ()
    if len(indices) > 1:
        frames, durations = _read_animation(image, indices, max_pixels)
        profile = profile_for(3, image.info.get("icc_profile"))
    elif bits > 8 and image.mode in ("RGB", "RGBA"):
        frames = [_read_sixteen_bit_color(image, file)]
        profile = profile_for(frames[0].shape[2], image.info.get("icc_profile"))
    else:
        frame, profile = _read_still(image)
        frames = [frame]

    exif = descriptive_exif(image)
    orientation = exif.pop(ExifTags.Base.Orientation, 1)
    turn = TURNS.get(orientation, TURNS[1])
    dpi = dpi_of(image)
    if dpi is not None and orientation in SIDEWAYS:
        dpi = dpi[::-1]
    return Picture(
        frames=tuple(np.ascontiguousarray(turn(frame)) for frame in frames),
        durations=durations,
        loop=_play_count(image) if durations else None,
        icc_profile=profile,
        exif=exif.tobytes() if exif else None,
        dpi=dpi,
    )


def _check_size(image: Image.Image, frames: int, max_pixels: int) -> None:
    if image.width * image.height * frames > max_pixels:
        raise ImageError(
            f"{pixels_text(image.height, image.width, frames)} are more than the limit of "
            f"{max_pixels}: raise it with --max-pixels"
        )


def _check_kind(image: Image.Image, frames: int, bits: int) -> None:
    """Raise ImageError for a file that would lose bits or pages, or whose range is not known."""
    if image.format == "TIFF":
        if frames > 1:
            raise ImageError(f"it has {frames} pages, and only one can be read: split it first")
        unsigned = set(_tiff_tag(image, SAMPLE_FORMAT) or (UNSIGNED,)) == {UNSIGNED}
        if bits not in (1, 2, 4, 8, 16) or not unsigned:
            kind = "unsigned" if unsigned else "signed or floating-point"
            raise ImageError(
                f"its {kind} samples of {bits} bits have no stated range: convert it to 8 or 16 "
                "bits first"
            )
    if bits > 8:
        readable = {"PNG": "I;16 RGB RGBA", "TIFF": "I;16 I;16B RGB RGBA", "PPM": "I"}
        if frames > 1 or image.mode not in readable.get(image.format or "", "").split():
            raise ImageError(
                f"its {bits} bits per channel would be cut to 8: convert it to 8 bits, or to a "
                "16-bit RGB PNG or TIFF, first"
            )


def _read_still(image: Image.Image) -> tuple[NDArray[Any], bytes | None]:
    _scale_color_key(image)
    pixels, profile = pixels_of(image)
    if pixels.dtype == np.uint16 and _tiff_tag(image, PHOTOMETRIC) == WHITE_IS_ZERO:
        pixels = 65535 - pixels  # Pillow inverts 8 bits, but not 16
    return pixels, profile


def _scale_color_key(image: Image.Image) -> None:
    """Scale a PNG's transparent gray of 1, 2 or 4 bits to 8 bits, as Pillow scales the pixels."""
    factors = {"1": 255, "L;2": 85, "L;4": 17}
    key = image.info.get("transparency")
    if image.format == "PNG" and isinstance(key, int):
        rawmode = image.tile[0].args  # type: ignore[attr-defined]
        image.info["transparency"] = min(255, key * factors[rawmode]) if rawmode in factors else key


def _read_sixteen_bit_color(image: Image.Image, file: BinaryIO) -> NDArray[Any]:
    file.seek(0)
    if image.format == "PNG":
        return sixteen_bit.decode(file.read(), "PNG")
    # The fourth channel of a TIFF need not be alpha; Pillow's mode shows whether it is.
    return sixteen_bit.decode(file.read(), "TIFF")[:, :, : len(image.getbands())]


def _read_animation(
    image: Image.Image, indices: range, max_pixels: int
) -> tuple[list[NDArray[Any]], tuple[int, ...]]:
    """Composited frames, RGBA if any pixel of any frame is transparent, and their durations."""
    if image.format == "WEBP":
        # Without the file's alpha flag, Pillow would show black where no frame covers the canvas.
        image.rawmode = image._mode = "RGBA"  # type: ignore[attr-defined]
    frames: list[NDArray[Any]] = []
    durations: list[float] = []
    for index in indices:
        image.seek(index)
        _check_size(image, len(indices), max_pixels)  # a GIF's frame may be larger than its canvas
        canvas = image.convert("RGBA")
        if frames:
            canvas = canvas.crop((0, 0, frames[0].shape[1], frames[0].shape[0]))
        frames.append(np.asarray(canvas))
        durations.append(image.info.get("duration", 0))
    if all((frame[:, :, 3] == 255).all() for frame in frames):
        frames = [frame[:, :, :3] for frame in frames]
    return frames, rounded_durations(durations, 1)


def _tiff_tag(image: Image.Image, tag: int) -> Any:
    return image.tag_v2.get(tag) if image.format == "TIFF" else None  # type: ignore[attr-defined]


def _play_count(image: Image.Image) -> int | None:
    """`Picture.loop`, at most the 65535 that WebP can state."""
    loop: int | None = image.info.get("loop")
    if loop and image.format == "GIF":
        loop += 1  # a GIF states the repetitions after the first time
    return loop and min(loop, 65535)
