"""A GeoTIFF read by rows with rasterio: its bands, and where they have no data."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sr_runtime.errors import ImageError, require_extra
from sr_runtime.image.header import reading
from sr_runtime.rows.window import MadeRows, Window
from sr_runtime.transparency import bleed_reach, bleed_rows

__all__ = ["Layer", "Scene", "gdal_errors", "load_rasterio", "reason_of"]

CACHE = 256 << 20
"""Bytes of blocks that GDAL keeps: a row of 512 × 512 tiles of a wide scene is read once."""
ROWS = 512
"""Rows that are read at a time."""
FEWEST_BITS = 8


@dataclass(frozen=True)
class Layer:
    """Bands that go through the network together, or a mask, which does not."""

    bands: tuple[int, ...]
    """Numbers from 1. A mask without any is the one that the file has beside its bands."""
    is_mask: bool = False

    @property
    def channels(self) -> int:
        return len(self.bands) or 1


class Scene:
    """An open GeoTIFF; a context manager. Several threads may read it.

    Attributes:
        dataset: rasterio's.
        shape: (height, width).
        dtype: uint8 or uint16.
        layers: Red, green and blue as one, and every other band as its own.
    """

    def __init__(self, path: Path, channels: int) -> None:
        """Open a file.

        Args:
            channels: What the network takes. One that takes gray gets only red, green and blue.

        Raises:
            ImageError: It is damaged, of a kind that is not upscaled, or the extra geo is missing.
        """
        rasterio = load_rasterio()
        self._path, self._lock = path, threading.Lock()
        with self._reading(), warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            self.dataset = rasterio.open(path, driver="GTiff")
            try:
                _check_kind(self.dataset)
                self.shape: tuple[int, int] = self.dataset.shape
                self.dtype = np.dtype(self.dataset.dtypes[0])
                self.layers = _layers(self.dataset, channels)
            except BaseException:
                self.dataset.close()
                raise
        complete = rasterio.enums.MaskFlags.all_valid
        self._is_complete = all(complete in flags for flags in self.dataset.mask_flag_enums)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.dataset.close()

    @property
    def empty_value(self) -> int:
        """What the result has where there is no data."""
        nodata = self.dataset.nodata
        most = np.iinfo(self.dtype).max
        return int(nodata) if nodata is not None and 0 <= nodata <= most else 0

    def rows(self, layer: Layer) -> MadeRows:
        """A `RowReader` of bands. Pixels without data have the colours of their neighbours."""
        height, width = self.shape

        def stored(begin: int) -> Iterator[NDArray[Any]]:
            for first in range(begin, height, ROWS):
                yield self._bands_and_mask(layer, first, min(first + ROWS, height))

        def bled(begin: int) -> Iterator[NDArray[Any]]:
            shape = (height, width, layer.channels + 1)
            window = Window(MadeRows(shape, self.dtype, stored))
            for first in range(begin, height, ROWS):
                end = min(first + ROWS, height)
                reach = bleed_reach(first, end, height)
                rows = window.rows(*reach)
                part = slice(first - reach[0], end - reach[0])
                yield bleed_rows(rows[:, :, :-1], rows[:, :, -1], part)

        def complete(begin: int) -> Iterator[NDArray[Any]]:
            for first in range(begin, height, ROWS):
                yield self._bands(layer, first, min(first + ROWS, height))

        bands = complete if self._is_complete else bled
        return MadeRows((height, width, layer.channels), self.dtype, bands)

    def has_data(self, layer: Layer, rows: NDArray[np.intp]) -> NDArray[np.bool_] | None:
        """`(rows, width)`: where any band of the layer has data; None if it has everywhere.

        Args:
            rows: Which rows, in ascending order.
        """
        if self._is_complete or layer.is_mask:
            return None
        first = int(rows[0])
        return self._mask(layer, first, int(rows[-1]) + 1)[rows - first]

    def mask_rows(self, layer: Layer, rows: NDArray[np.intp]) -> NDArray[Any]:
        """`(rows, width, 1)` of a layer that is a mask."""
        first, end = int(rows[0]), int(rows[-1]) + 1
        if layer.bands:
            return self._bands(layer, first, end)[rows - first]
        with self._reading():
            mask = self.dataset.read_masks(1, window=self._window(first, end))
        return np.asarray(mask)[rows - first, :, np.newaxis]

    def _bands_and_mask(self, layer: Layer, begin: int, end: int) -> NDArray[Any]:
        """The rows with a last channel that is 0 where there is no data, as alpha is."""
        made = np.empty((end - begin, self.shape[1], layer.channels + 1), self.dtype)
        made[:, :, :-1] = self._bands(layer, begin, end)
        made[:, :, -1] = self._mask(layer, begin, end)
        return made

    def _bands(self, layer: Layer, begin: int, end: int) -> NDArray[Any]:
        with self._reading():
            bands = self.dataset.read(list(layer.bands), window=self._window(begin, end))
        return np.ascontiguousarray(np.moveaxis(bands, 0, -1))

    def _mask(self, layer: Layer, begin: int, end: int) -> NDArray[np.bool_]:
        with self._reading():
            masks = self.dataset.read_masks(list(layer.bands), window=self._window(begin, end))
        data: NDArray[np.bool_] = np.any(masks, axis=0)
        return data

    def _window(self, begin: int, end: int) -> Any:
        return load_rasterio().windows.Window(0, begin, self.shape[1], end - begin)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """One thread at a time; errors of GDAL as ours, and `reading` knows what they mean."""
        rasterio = load_rasterio()
        with self._lock, reading(self._path), rasterio.Env(GDAL_CACHEMAX=CACHE):
            try:
                yield
            except gdal_errors() as error:
                raise ValueError(reason_of(error)) from error


def load_rasterio() -> Any:
    """The modules of rasterio that are used."""
    with require_extra("geo", raising=ImageError):
        import rasterio._err
        import rasterio.enums
        import rasterio.errors
        import rasterio.shutil
        import rasterio.windows
    return rasterio


def gdal_errors() -> tuple[type[Exception], ...]:
    """What rasterio raises; not all of it has its base class."""
    rasterio = load_rasterio()
    return rasterio.errors.RasterioError, rasterio._err.CPLE_BaseError


def reason_of(error: Exception) -> str:
    """What GDAL says, in one line."""
    cause = error.__cause__ or error
    return " ".join(str(getattr(cause, "errmsg", cause)).split())


def _check_kind(dataset: Any) -> None:
    """Raise ImageError for what a network for pictures cannot take."""
    if dataset.subdatasets:
        raise ImageError(
            f"it holds {len(dataset.subdatasets)} scenes: save one of them as a file of its own"
        )
    kinds = set(dataset.dtypes)
    if kinds - {"uint8", "uint16"}:
        raise ImageError(
            f"its values are {', '.join(sorted(kinds))}, which have no stated range, and those of "
            "a picture are uint8 or uint16: scale them to uint16 first"
        )
    for band, meaning in zip(dataset.indexes, dataset.colorinterp, strict=True):
        if meaning.name == "palette":
            raise ImageError(
                f"band {band} holds numbers of colours in a table: save it as red, green and blue "
                "first"
            )
        bits = dataset.tags(band, ns="IMAGE_STRUCTURE").get("NBITS", FEWEST_BITS)
        if int(bits) < FEWEST_BITS:
            raise ImageError(f"band {band} has {bits} bits: scale its values to 8 bits first")


def _layers(dataset: Any, channels: int) -> list[Layer]:
    meanings = [meaning.name for meaning in dataset.colorinterp]
    layers = [
        Layer((band,), is_mask=meaning == "alpha") for band, meaning in enumerate(meanings, start=1)
    ]
    if channels == 3 and meanings[:3] == ["red", "green", "blue"]:
        layers[:3] = [Layer((1, 2, 3))]
    flags = [flag.name for flag in dataset.mask_flag_enums[0]]
    if "per_dataset" in flags and "alpha" not in flags:
        layers.append(Layer((), is_mask=True))
    return layers
