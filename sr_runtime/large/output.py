"""Image files written from kept rows by libvips, in memory that does not grow with the image."""

import mmap
import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.ExifTags import Base

from sr_runtime.errors import ArgumentError, ImageError, StorageError, about
from sr_runtime.image import Output, Picture, Quality
from sr_runtime.image.color import profile_for
from sr_runtime.image.encode import PNG_COMPRESSION, QUALITY
from sr_runtime.image.exif import exif_with_size
from sr_runtime.image.png import append_texts
from sr_runtime.image.sixteen_bit import INCH, load_vips
from sr_runtime.large.kept_rows import KeptRows
from sr_runtime.storage.atomic import atomic_folder, atomic_path, check_target

__all__ = ["LargeOutput", "output_of"]

DEEP_ZOOM = ".dzi"
TILE = 256
"""Side of a TIFF's tiles, which viewers of large images load one by one."""
RESOLUTION = {Base.XResolution, Base.YResolution, Base.ResolutionUnit}


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
        if self._output.format == "tiff" and _states_more_than_resolution(picture.exif):
            warnings.warn(
                f"{self.path}: EXIF is not kept in a TIFF that is written by rows: use png",
                RuntimeWarning,
                stacklevel=2,
            )
        check_target(self.path, inputs=[source])

    def write(self, kept: KeptRows, picture: Picture) -> None:
        """Write the rows, with the metadata of `picture`; a file of that name is replaced.

        Raises:
            StorageError: The disk is full, or the folder cannot be written.
        """
        with about(self.path), _errors_of_vips(), _rows_of(kept) as rows:
            image = _described(rows, picture)
            if self._is_deep_zoom:
                self._write_deep_zoom(image, picture)
                return
            with atomic_path(self.path) as temporary:
                # libvips adds EXIF to an image that has none, unless only others are kept.
                keep = "all" if picture.exif is not None else "icc:xmp:iptc"
                _interruptible(image, partial(self._save, image, os.fspath(temporary), keep))
                if self._output.format == "png":
                    append_texts(temporary, picture.png_text)

    def _save(self, image: Any, path: str, keep: str) -> None:
        match self._output.format:
            case "png":
                image.pngsave(path, compression=PNG_COMPRESSION, keep=keep)
            case "jpg":
                image.jpegsave(path, Q=self._jpeg_quality, subsample_mode="off", keep=keep)
            case "tiff":
                image.tiffsave(
                    path,
                    tile=True,
                    tile_width=TILE,
                    tile_height=TILE,
                    compression="deflate",
                    predictor="horizontal",
                    level=1,
                    bigtiff=True,
                    keep=keep,
                )

    def _write_deep_zoom(self, image: Any, picture: Picture) -> None:
        """The tiles first, so that the file that names them means that they are there."""
        tiles, pixel = self._deep_zoom_tiles, picture.frames[0]
        is_jpeg = pixel.dtype == np.uint8 and pixel.shape[2] in (1, 3)
        suffix = f".jpg[Q={self._jpeg_quality}]" if is_jpeg else ".png"
        with atomic_path(self.path) as description, atomic_folder(tiles) as folder:
            _interruptible(image, partial(image.dzsave, os.fspath(folder / "all"), suffix=suffix))
            (folder / "all.dzi").replace(description)
            for level in (folder / "all_files").iterdir():
                level.replace(folder / level.name)
            (folder / "all_files").rmdir()

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


def _states_more_than_resolution(exif: bytes | None) -> bool:
    """Whether a TIFF would lose any of these tags: it has its resolution from the picture."""
    tags = Image.Exif()
    tags.load(exif or b"")
    return not set(tags) <= RESOLUTION


def _interruptible(image: Any, save: Callable[[], object]) -> None:
    """Save an image in another thread, so that Ctrl-C ends it.

    In the thread that calls libvips, Ctrl-C is raised in the callback, which loses exceptions.
    """
    with ThreadPoolExecutor(1) as thread:
        saving = thread.submit(save)
        try:
            saving.result()
        except BaseException:
            image.set_kill(True)
            raise


@contextmanager
def _rows_of(kept: KeptRows) -> Iterator[Any]:
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
    if hasattr(rows, "madvise"):  # not on Windows
        image.set_progress(True)
        image.signal_connect("eval", lambda *_: rows.madvise(mmap.MADV_DONTNEED))
    yield image.copy(interpretation=gray if channels < 3 else color)


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
        reason = " ".join(error.detail.split())
        raise StorageError(f"cannot be written ({reason})") from error
