"""Writing image files: what can fail is found before the work, and no file is left half written."""

import io
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError, ImageError, SRError, about
from sr_runtime.image.encode import encode
from sr_runtime.image.format_limits import check_limits, without_opaque_alpha
from sr_runtime.image.formats import (
    LOSSLESS_FORMATS,
    QUALITY_FORMATS,
    SUFFIXES,
    Format,
    load_plugin,
)
from sr_runtime.image.out_of_memory import memory_for
from sr_runtime.image.picture import Picture, pixels_text
from sr_runtime.printable import shown
from sr_runtime.storage.atomic import atomic_path

__all__ = ["Output", "Quality", "write"]

Quality = int | Literal["lossless"] | None


class Output:
    """An image file to be written, in the format of its suffix.

    What makes `write` fail is found before the work: suffix and quality by creating an Output, the
    picture and its metadata by `check`, the place by `sr_runtime.storage.atomic.check_target`.
    """

    def __init__(self, path: str | os.PathLike[str], *, quality: Quality = None) -> None:
        """
        Args:
            quality: 1 to 100 for jpg, webp, avif and jxl, where None means 95; or "lossless" for
                webp and jxl. png and tiff always are.

        Raises:
            ImageError: The suffix is not that of a format that can be written here.
            ArgumentError: `quality` is outside 1 to 100, or the format has none.
        """
        self.path = Path(path)
        suffix = self.path.suffix.lower()
        if suffix not in SUFFIXES:
            raise ImageError(
                f"images cannot be written with the suffix {shown(suffix)}: use one of "
                f"{', '.join(SUFFIXES)}",
                path=path,
            )
        self.format: Format = SUFFIXES[suffix]
        _check_quality(self.format, quality)
        if self.format == "jxl":
            load_plugin("pillow_jxl")
        self.quality = quality

    def check(self, picture: Picture, *, height: int, width: int) -> None:
        """Raise ImageError if the format cannot hold `picture` at `height` × `width` pixels.

        The size of every further page changes in the same proportion as that of the first. Partial
        transparency, which gif rounds to opaque or clear, is a RuntimeWarning.
        """
        rows, columns = picture.frames[0].shape[:2]
        with about(self.path), _refusals_as_image_errors():
            kept = without_opaque_alpha(picture, self.format)
            self._check_limits(kept, height / rows, width / columns)
            encode(_of_one_pixel(kept), io.BytesIO(), self.format, self.quality)
        if self.format == "gif" and any(map(_is_partly_transparent, kept.frames)):
            warnings.warn(
                f"{self.path}: gif has no partial transparency, so pixels less than half opaque "
                "become clear and the others opaque: use png or webp to keep it",
                RuntimeWarning,
                stacklevel=2,
            )

    def write(self, picture: Picture) -> None:
        """Write a picture; a file that is there already is replaced once the new one is complete.

        The ICC profile, EXIF, XMP, IPTC, text and DPI are kept where the format has a place for
        them; a JPEG has none for EXIF or XMP of more than 64 kB. Colours with a profile become sRGB
        in gif and jxl, which hold none. A JPEG's colour is never subsampled.

        Raises:
            ImageError: The format cannot hold the picture.
            StorageError: The disk is full, or the folder is missing or cannot be written.
            OutOfMemoryError: The encoder needs more memory than there is.
        """
        height, width = picture.frames[0].shape[:2]
        with about(self.path):
            kept = without_opaque_alpha(picture, self.format)
            self._check_limits(kept, 1, 1)
        task = f"write {pixels_text(height, width, len(picture.frames))} as {self.format}"
        with (
            about(self.path),
            _refusals_as_image_errors(),
            atomic_path(self.path) as temporary,
            memory_for(task, picture.nbytes),
            temporary.open("wb") as file,
        ):
            # A pipe takes bytes only in their order.
            whole = file if file.seekable() else io.BytesIO()
            encode(kept, whole, self.format, self.quality)
            if isinstance(whole, io.BytesIO):
                file.write(whole.getbuffer())

    def _check_limits(self, picture: Picture, rows: float, columns: float) -> None:
        lossless = self.quality == "lossless"
        check_limits(self.format, picture, rows, columns, lossless=lossless)


def write(picture: Picture, path: str | os.PathLike[str], *, quality: Quality = None) -> None:
    """Write a picture in the format of the suffix of `path`; `Output` says what is raised."""
    Output(path, quality=quality).write(picture)


def _check_quality(format: Format, quality: Quality) -> None:
    if quality is None:
        return
    if quality == "lossless":
        if format not in LOSSLESS_FORMATS:
            raise ArgumentError(f"{format} cannot be lossless: use {', '.join(LOSSLESS_FORMATS)}")
    elif type(quality) is not int:
        raise ArgumentError(f'quality {shown(quality)} is neither 1 to 100 nor "lossless"')
    elif format not in QUALITY_FORMATS:
        raise ArgumentError(
            f"quality is for {', '.join(QUALITY_FORMATS)}, and not for {format}: leave it out"
        )
    elif not 1 <= quality <= 100:
        raise ArgumentError(f"quality {shown(quality)} is outside 1 to 100")


def _is_partly_transparent(frame: NDArray[Any]) -> bool:
    alpha = frame[:, :, -1]
    return frame.shape[2] in (2, 4) and bool(((alpha > 0) & (alpha < 255)).any())


def _of_one_pixel(picture: Picture) -> Picture:
    """`picture` with all its metadata and little to encode; no frame repeats the one before."""
    frames = (
        np.full_like(frame[:1, :1], 255 * (number % 2))
        for number, frame in enumerate(picture.frames)
    )
    pages = tuple(_of_one_pixel(page) for page in picture.pages)
    return replace(picture, frames=tuple(frames), pages=pages)


@contextmanager
def _refusals_as_image_errors() -> Iterator[None]:
    """Raise what encoders raise, for metadata and durations that a format cannot hold, as ours."""
    try:
        yield
    except SRError:
        raise
    except (
        OSError, ValueError, TypeError, KeyError, OverflowError, RuntimeError, struct.error
    ) as error:  # fmt: skip
        raise ImageError(f"cannot be written ({error})") from error
