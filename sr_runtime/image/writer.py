"""Writing an image file: what can fail is found before the work, and nothing is left half done."""

import os
import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike
from PIL import Image

from sr_runtime.atomic import atomic_path, check_target
from sr_runtime.errors import ArgumentError, ImageError
from sr_runtime.image import sixteen_bit
from sr_runtime.image.exif import exif_with_size
from sr_runtime.image.gif import write_gif
from sr_runtime.image.picture import Picture, profile_for
from sr_runtime.image.tiff import LARGEST_TIFF, write_tiff

__all__ = ["Format", "check_quality", "check_writable", "output_format", "write"]

Format = Literal["png", "jpg", "webp", "tiff", "gif"]

SUFFIXES: dict[str, Format] = {
    ".png": "png",
    ".jpg": "jpg",
    ".jpeg": "jpg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".gif": "gif",
}
LARGEST_SIDE = {"jpg": 65500, "webp": 16383, "gif": 65535}

QUALITY = 95

# Of an upscaled photo, 2400 × 1600: level 1 17.8 MP/s and 4.05 MB, level 3 11.4 and 3.80, level 6
# 3.9 and 3.48. On a GPU the encoder is what everything waits for.
PNG_COMPRESSION = 1
# 18 MP/s, and the default, 4, 8 MP/s for 3 % less.
WEBP_METHOD = 2

LARGEST_JPEG_EXIF = 65533  # bytes of one JPEG segment


def output_format(path: str | os.PathLike[str]) -> Format:
    """The format that the suffix of `path` means; ImageError for others."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ImageError(
            f"{path}: the suffix {suffix!r} is of no format that can be written: "
            f"use one of {', '.join(SUFFIXES)}"
        )
    return SUFFIXES[suffix]


def check_writable(
    path: str | os.PathLike[str],
    format: Format,
    *,
    height: int,
    width: int,
    channels: int,
    dtype: DTypeLike,
    frames: int = 1,
    quality: int | None = None,
) -> None:
    """Find out before hours of work what would make `write` fail after them.

    Raises:
        ImageError: The folder is not there or not writable, or the format does not hold such an
            image.
        ArgumentError: `quality` is not within 1 to 100, or `format` has none.
    """
    try:
        check_target(Path(path))
    except ArgumentError as error:
        raise ImageError(str(error)) from error
    check_quality(format, quality)
    side = LARGEST_SIDE.get(format)
    if side is not None and max(height, width) > side:
        raise ImageError(
            f"{path}: {width} × {height} is larger than the {side} pixels a side of {format}: "
            "choose png or tiff"
        )
    dtype = np.dtype(dtype)
    if format == "tiff" and height * width * channels * dtype.itemsize > LARGEST_TIFF:
        raise ImageError(f"{path}: {width} × {height} is larger than the 4 GiB of tiff: choose png")
    if frames > 1 and format not in ("png", "webp", "gif"):
        raise ImageError(f"{path}: {format} holds no animation: choose gif, webp or png")
    if channels in (2, 4) and format == "jpg":
        raise ImageError(f"{path}: jpg holds no transparency: choose png, webp or tiff")
    if dtype == np.uint16:
        if format not in ("png", "tiff"):
            raise ImageError(
                f"{path}: {format} holds 8 bits and this image has 16: choose png or tiff"
            )
        if frames > 1:
            raise ImageError(f"{path}: an animation of 16 bits cannot be written")
        if format == "tiff" and channels == 2:
            raise ImageError(
                f"{path}: few programs read 16-bit gray with alpha as tiff: choose png"
            )
        if format == "png" and channels > 1:
            try:
                sixteen_bit.load_vips()
            except ImageError as error:
                raise ImageError(f"{path}: {error}") from error


def check_quality(format: Format, quality: int | None) -> None:
    """Raise ArgumentError for a `quality` outside 1 to 100, or of a format that has none."""
    if quality is None:
        return
    if format not in ("jpg", "webp"):
        raise ArgumentError(f"quality is for jpg and webp, and not for {format}: leave it out")
    if not 1 <= quality <= 100:
        raise ArgumentError(f"quality {quality} is not within 1 to 100")


def write(
    picture: Picture,
    path: str | os.PathLike[str],
    *,
    format: Format | None = None,
    quality: int | None = None,
) -> None:
    """Write a picture, by default in the format of the suffix; `path` is replaced only when done.

    The ICC profile, EXIF and DPI go along where the format has a place for them, and EXIF of more
    than 64 kB into no JPEG.

    Args:
        quality: Of jpg and webp, 1 to 100; by default 95. Colour is never subsampled in jpg.

    Raises:
        ImageError: The file cannot be written, or its format does not hold the picture.
        ArgumentError: `quality` is not within 1 to 100, or the format has none.
    """
    format = output_format(path) if format is None else format
    frame = picture.frames[0]
    height, width, channels = frame.shape
    check_writable(
        path,
        format,
        height=height,
        width=width,
        channels=channels,
        dtype=frame.dtype,
        frames=len(picture.frames),
        quality=quality,
    )
    try:
        exif = picture.exif and exif_with_size(picture.exif, width=width, height=height)
        with atomic_path(path) as temporary:
            _encode(picture, temporary, format, exif or None, quality or QUALITY)
    except (OSError, ValueError, OverflowError, RuntimeError, struct.error) as error:
        # All but the first are Pillow's for durations and metadata that a format does not hold.
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"{path}: cannot be written ({reason})") from error


def _encode(picture: Picture, path: Path, format: Format, exif: bytes | None, quality: int) -> None:
    frame = picture.frames[0]
    profile = profile_for(frame.shape[2], picture.icc_profile)
    if format == "tiff":
        write_tiff(frame, path, icc_profile=profile, exif=exif, dpi=picture.dpi)
        return
    if format == "gif":
        write_gif(picture.frames, path, durations=picture.durations, loop=picture.loop)
        return
    if frame.dtype == np.uint16 and frame.shape[2] > 1:
        sixteen_bit.write_png(
            frame,
            path,
            compression=PNG_COMPRESSION,
            icc_profile=profile,
            exif=exif,
            dpi=picture.dpi,
        )
        return

    first, *others = (Image.fromarray(f[:, :, 0] if f.shape[2] == 1 else f) for f in picture.frames)
    options: dict[str, Any] = {"icc_profile": profile, "exif": exif, "dpi": picture.dpi}
    if others:
        options |= {
            "save_all": True,
            "append_images": others,
            "duration": list(picture.durations),
            "loop": 1 if picture.loop is None else picture.loop,
        }
    match format:
        case "png":
            options |= {"compress_level": PNG_COMPRESSION}
        case "jpg":
            options |= {"quality": quality, "subsampling": "4:4:4"}
            if exif is not None and len(exif) > LARGEST_JPEG_EXIF:
                del options["exif"]
        case "webp":
            options |= {"quality": quality, "method": WEBP_METHOD}
    given = {name: value for name, value in options.items() if value is not None}
    first.save(path, format={"jpg": "JPEG"}.get(format, format.upper()), **given)
