"""Where a scene has no data, its result has none, to the pixel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.large.geo.scene import Layer, Scene
from sr_runtime.large.kept_rows import KeptRows

__all__ = ["MaskedRows", "write_mask"]

ROWS = 128
"""Rows of the result that are masked at a time."""


class MaskedRows:
    """A `RowWriter` that empties the pixels of `kept` whose nearest one in the scene is empty."""

    def __init__(self, kept: KeptRows, scene: Scene, layer: Layer) -> None:
        self._kept, self._scene, self._layer = kept, scene, layer
        self._next = 0

    def start(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> int:
        """As `RowWriter.start`."""
        self._next = self._kept.start(shape, dtype)
        return self._next

    def write(self, rows: NDArray[Any]) -> None:
        """As `RowWriter.write`."""
        for first in range(0, len(rows), ROWS):
            self._mask(rows[first : first + ROWS])
        self._kept.write(rows)

    def _mask(self, rows: NDArray[Any]) -> None:
        height, width = self._scene.shape
        wanted = _nearest(self._next, self._next + len(rows), self._kept.shape[0], height)
        self._next += len(rows)
        data = self._scene.has_data(self._layer, wanted)
        if data is None:
            return
        data = data[:, _nearest(0, rows.shape[1], rows.shape[1], width)]
        empty = self._scene.empty_value
        if self._scene.dataset.nodata is not None:
            # A value that the network made by chance would be read as no data.
            rows[data[:, :, np.newaxis] & (rows == empty)] = empty + 1 if empty == 0 else empty - 1
        rows[~data] = empty


def write_mask(scene: Scene, layer: Layer, kept: KeptRows, height: int, width: int) -> None:
    """Enlarge a layer that is a mask, each pixel from the nearest one: clear stays clear."""
    rows, columns = scene.shape
    dtype = scene.dtype if layer.bands else np.dtype(np.uint8)
    across = _nearest(0, width, width, columns)
    for first in range(kept.start((height, width, 1), dtype), height, ROWS):
        wanted = _nearest(first, min(first + ROWS, height), height, rows)
        kept.write(scene.mask_rows(layer, wanted)[:, across])


def _nearest(begin: int, end: int, length: int, source: int) -> NDArray[np.intp]:
    """The pixels of `source` in which the centres of [`begin`, `end`) of `length` pixels lie."""
    return (2 * np.arange(begin, end) + 1) * source // (2 * length)
