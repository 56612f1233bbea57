"""Image files written from kept rows by libvips, in memory that does not grow with the image."""

import mmap
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sr_runtime.errors import ArgumentError, ImageError, StorageError, about
from sr_runtime.image import Output, Picture, Quality
from sr_runtime.image.color import profile_for
from sr_runtime.image.encode import QUALITY
from sr_runtime.image.exif import exif_with_size
from sr_runtime.image.sixteen_bit import INCH, load_vips
from sr_runtime.large.encode import encode
from sr_runtime.large.kept_rows import KeptRows
from sr_runtime.large.vips_files import check_name, os_error_of
from sr_runtime.passes import Progress
from sr_runtime.storage.atomic import atomic_folder, atomic_path, check_target

__all__ = ["LargeOutput", "output_of"]

DEEP_ZOOM = ".dzi"
EVERY = 0.5
"""Seconds between two looks at how far the file is."""


class LargeOutput:
    """A PNG, JPEG or BigTIFF in tiles; or a Deep Zoom image, `name.dzi` and `name_files/`.

    What makes `write` fail is found before the work: suffix and quality by creating one, the
    picture and its place by `check`.
    """

    def __init__(self, path: str | os.PathLike[str], *, quality: Quality = None) -> None:
        """
        Args:
            quality: 1 to 100 for JPEG and for the tiles of Deep Zoom, where None means 95. Tiles
                of 16 bits or with alpha are PNGs.

        Raises:
            ImageError: The suffix is not that of a format that is written by rows.
            ArgumentError: `quality` is outside 1 to 100, or the format has none.
        """
        self.path = Path(path)
        self._is_deep_zoom = self.path.suffix.lower() == DEEP_ZOOM
        # What checks the quality is the format of its tiles.
        self._output = Output(
            self.path.with_suffix(".jpg") if self._is_deep_zoom else path, quality=quality
        )
        if self._output.format not in ("png", "jpg", "tiff"):
            raise ImageError(
                f"an image too large for memory is not written as {self._output.format}: use png, "
                "tiff, jpg, or dzi for Deep Zoom",
                path=path,
            )
        self.format = "dzi" if self._is_deep_zoom else self._output.format
        self.quality = quality

    def check(self, picture: Picture, source: Path, *, height: int, width: int) -> None:
        """Raise ImageError if the format cannot hold `picture`, of one pixel, at that size.

        Raises ArgumentError or StorageError if the place cannot be written, or is the source.
        """
        check_name(self.path)
        if self._is_deep_zoom and (tiles := self._deep_zoom_tiles).exists():
            raise ArgumentError(
                f"the folder {tiles.name}, which Deep Zoom has for its tiles, exists: delete it, "
                "or use another name",
                path=self.path,
            )
        if self._output.format == "tiff":
            height = width = 1  # a BigTIFF has no limit
        if not self._is_deep_zoom:
            self._output.check(picture, height=height, width=width)
        check_target(self.path, inputs=[source])

    def write(self, kept: KeptRows, picture: Picture, progress: Progress | None = None) -> None:
        """Write the rows, with the metadata of `picture`; a file of that name is replaced.

        Args:
            progress: Called with (per cent, 100) on this thread. What it raises ends the writing.

        Raises:
            StorageError: The disk is full, or the folder cannot be written.
        """
        with about(self.path), _errors_of_vips(), _rows_of(kept) as rows:
            image = _described(rows.image, picture)
            if self._is_deep_zoom:
                self._write_deep_zoom(image, picture, partial(_save, rows, progress))
                return
            with atomic_path(self.path) as temporary:
                format, quality = self._output.format, self._jpeg_quality
                _save(rows, progress, partial(encode, image, temporary, format, picture, quality))

    def _write_deep_zoom(
        self, image: Any, picture: Picture, save: Callable[[Callable[[], object]], None]
    ) -> None:
        """The tiles first, so that the file that names them means that they are there."""
        tiles, pixel = self._deep_zoom_tiles, picture.frames[0]
        is_jpeg = pixel.dtype == np.uint8 and pixel.shape[2] in (1, 3)
        suffix = f".jpg[Q={self._jpeg_quality}]" if is_jpeg else ".png"
        with ExitStack() as undoing, atomic_path(self.path) as description:
            with atomic_folder(tiles) as folder:
                # Each of thousands of tiles would have all metadata; its colours' is enough.
                save(partial(image.dzsave, os.fspath(folder / "all"), suffix=suffix, keep="icc"))
                (folder / "all.dzi").replace(description)
                for level in (folder / "all_files").iterdir():
                    level.replace(folder / level.name)
                (folder / "all_files").rmdir()
            undoing.callback(self._remove_tiles_without_file)

    def _remove_tiles_without_file(self) -> None:
        """They would keep the next call from writing its own."""
        if not self.path.exists():
            shutil.rmtree(self._deep_zoom_tiles, ignore_errors=True)

    @property
    def _jpeg_quality(self) -> int | str:
        return QUALITY if self.quality is None else self.quality

    @property
    def _deep_zoom_tiles(self) -> Path:
        return self.path.with_name(f"{self.path.stem}_files")


def output_of(path: Path, *, quality: Quality = None) -> Output | LargeOutput:
    """What writes a file of that suffix: a Deep Zoom image is always written by rows."""
    if path.suffix.lower() == DEEP_ZOOM:
        return LargeOutput(path, quality=quality)
    return Output(path, quality=quality)


@dataclass
class _Rows:
    """Rows in a file as an image of libvips."""

    image: Any
    percent: int = 0
    """How much of it has been read by what was made from it last."""


def _save(rows: _Rows, progress: Progress | None, save: Callable[[], object]) -> None:
    """Save what is made from `rows` in another thread, so that Ctrl-C and `progress` end it.

    In the thread that calls libvips, exceptions are raised in the callback, which loses them.
    """
    with ThreadPoolExecutor(1) as thread:
        saving = thread.submit(save)
        try:
            while wait([saving], timeout=EVERY).not_done:
                if progress is not None:
                    progress(rows.percent, 100)
            saving.result()
        except BaseException:
            rows.image.set_kill(True)
            raise


@contextmanager
def _rows_of(kept: KeptRows) -> Iterator[_Rows]:
    """The image of libvips over the rows in a file, for the block alone.

    The file is mapped into memory. Its pages count as this process's until they are given back,
    which libvips never does with those that it maps itself.
    """
    height, width, channels = kept.shape
    deep = kept.dtype.itemsize > 1
    gray, color = ("grey16", "rgb16") if deep else ("b-w", "srgb")
    with kept.file.open("rb") as file:
        rows = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    image = load_vips().Image.new_from_memory(
        rows, width, height, channels, "ushort" if deep else "uchar"
    )
    image.set_progress(True)  # before anything is made from it, which signals this image then
    made = _Rows(image.copy(interpretation=gray if channels < 3 else color))

    def on_read(_image: Any, state: Any) -> None:
        made.percent = state.percent
        if hasattr(rows, "madvise"):  # not on Windows
            rows.madvise(mmap.MADV_DONTNEED)

    image.signal_connect("eval", on_read)
    yield made


def _described(image: Any, picture: Picture) -> Any:
    """`image` with the metadata of `picture`."""
    blob = load_vips().GValue.blob_type
    if picture.dpi is not None:
        across, down = picture.dpi
        image = image.copy(xres=across / INCH, yres=down / INCH)
    else:
        image = image.copy()
    exif = picture.exif and exif_with_size(picture.exif, width=image.width, height=image.height)
    for name, value in (
        ("icc-profile-data", profile_for(image.bands, picture.icc_profile)),
        ("exif-data", exif),
        ("xmp-data", picture.xmp),
        ("iptc-data", picture.iptc),
    ):
        if value:
            image.set_type(blob, name, value)
    return image


@contextmanager
def _errors_of_vips() -> Iterator[None]:
    """What libvips cannot write, having been given rows that it can, is due to the disk."""
    try:
        yield
    except load_vips().Error as error:
        if fault := os_error_of(error):
            raise StorageError(f"cannot be written ({fault.strerror})") from fault
        reason = " ".join(error.detail.split())
        raise StorageError(f"cannot be written ({reason})") from error
