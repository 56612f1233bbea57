"""Writing image files: what can fail is found before the work, and no file is left half written."""

import os
import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from sr_runtime.atomic import atomic_path
from sr_runtime.errors import ArgumentError, ImageError, about
from sr_runtime.image import sixteen_bit
from sr_runtime.image.exif import exif_with_size
from sr_runtime.image.gif import write_gif
from sr_runtime.image.memory import memory_for
from sr_runtime.image.picture import Picture, pixels_text, profile_for
from sr_runtime.image.tiff import LARGEST_TIFF, write_tiff

__all__ = ["Format", "Output", "write"]

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

# Measured with an upscaled photo of 2400 × 1600: level 1 writes 17.8 MP/s and 4.05 MB, level 3
# 11.4 MP/s and 3.80 MB, level 6 3.9 MP/s and 3.48 MB. On a GPU the encoder is the bottleneck.
PNG_COMPRESSION = 1
# 18 MP/s; Pillow's default, 4, writes 8 MP/s and files 3 % smaller.
WEBP_METHOD = 2

LARGEST_JPEG_EXIF = 65533  # bytes of one JPEG segment


class Output:
    """An image file to be written, in the format of its suffix.

    What makes `write` fail is found before the work: suffix and quality by creating an Output, the
    picture by `check`, the place by `sr_runtime.atomic.check_target`.
    """

    def __init__(self, path: str | os.PathLike[str], *, quality: int | None = None) -> None:
        """
        Args:
            quality: 1 to 100 for jpg and webp; None means 95.

        Raises:
            ImageError: The suffix is not that of a format that can be written.
            ArgumentError: `quality` is outside 1 to 100, or the format has none.
        """
        self.path = Path(path)
        suffix = self.path.suffix.lower()
        if suffix not in SUFFIXES:
            raise ImageError(
                f"images cannot be written with the suffix {suffix!r}: use one of "
                f"{', '.join(SUFFIXES)}",
                path=path,
            )
        self.format: Format = SUFFIXES[suffix]
        if quality is not None and self.format not in ("jpg", "webp"):
            raise ArgumentError(f"quality is for jpg and webp, not for {self.format}: leave it out")
        if quality is not None and not 1 <= quality <= 100:
            raise ArgumentError(f"quality {quality} is outside 1 to 100")
        self.quality = QUALITY if quality is None else quality

    def check(self, picture: Picture, *, height: int, width: int) -> None:
        """Raise ImageError if the format cannot hold `picture` at `height` × `width` pixels."""
        with about(self.path):
            _check(self.format, picture, height, width)

    def write(self, picture: Picture) -> None:
        """Write a picture; a file that is there already is replaced once the new one is complete.

        The ICC profile, EXIF and DPI are kept where the format has a place for them; a JPEG has
        none for EXIF of more than 64 kB. A JPEG's colour is never subsampled.

        Raises:
            ImageError: The format cannot hold the picture.
            StorageError: The disk is full, or the folder is missing or cannot be written.
            OutOfMemoryError: The encoder needs more memory than there is.
        """
        height, width = picture.frames[0].shape[:2]
        self.check(picture, height=height, width=width)
        task = f"write {pixels_text(height, width, len(picture.frames))} as {self.format}"
        nbytes = sum(frame.nbytes for frame in picture.frames)
        try:
            exif = picture.exif and exif_with_size(picture.exif, width=width, height=height)
            with about(self.path), atomic_path(self.path) as temporary, memory_for(task, nbytes):
                _encode(picture, temporary, self.format, exif or None, self.quality)
        except (OSError, ValueError, OverflowError, RuntimeError, struct.error) as error:
            # Pillow's, for durations and metadata that the format cannot hold.
            raise ImageError(f"cannot be written ({error})", path=self.path) from error


def write(picture: Picture, path: str | os.PathLike[str], *, quality: int | None = None) -> None:
    """Write a picture in the format of the suffix of `path`; `Output` says what is raised."""
    Output(path, quality=quality).write(picture)


def _check(format: Format, picture: Picture, height: int, width: int) -> None:
    """Raise ImageError for too many pixels, or frames, transparency or bits that would be lost."""
    frame, frames = picture.frames[0], len(picture.frames)
    channels = frame.shape[2]
    side = LARGEST_SIDE.get(format)
    if side is not None and max(height, width) > side:
        raise ImageError(
            f"{width} × {height} exceeds {side} pixels per side, the limit of {format}: use png "
            "or tiff"
        )
    if format == "tiff" and height * width * channels * frame.itemsize > LARGEST_TIFF:
        raise ImageError(f"{width} × {height} pixels are more than the 4 GiB of tiff: use png")
    if frames > 1 and format not in ("png", "webp", "gif"):
        raise ImageError(f"{format} cannot hold an animation: use gif, webp or png")
    if channels in (2, 4) and format == "jpg":
        raise ImageError("jpg cannot hold transparency: use png, webp or tiff")
    if frame.dtype != np.uint16:
        return
    if format not in ("png", "tiff"):
        raise ImageError(f"{format} holds 8 bits and this image has 16: use png or tiff")
    if frames > 1:
        raise ImageError("an animation of 16 bits cannot be written: convert it to 8 bits first")
    if format == "tiff" and channels == 2:
        raise ImageError("few programs read 16-bit gray with alpha from tiff: use png")
    if format == "png" and channels > 1:
        sixteen_bit.load_vips()


def _encode(picture: Picture, path: Path, format: Format, exif: bytes | None, quality: int) -> None:
    frame = picture.frames[0]
    profile = profile_for(frame.shape[2], picture.icc_profile)
    options: dict[str, Any] = {"icc_profile": profile, "exif": exif, "dpi": picture.dpi}
    if format == "tiff":
        write_tiff(frame, path, **options)
        return
    if format == "gif":
        write_gif(picture.frames, path, durations=picture.durations, loop=picture.loop)
        return
    if frame.dtype == np.uint16 and frame.shape[2] > 1:
        sixteen_bit.write_png(frame, path, compression=PNG_COMPRESSION, **options)
        return

    first, *others = (Image.fromarray(f[:, :, 0] if f.shape[2] == 1 else f) for f in picture.frames)
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
