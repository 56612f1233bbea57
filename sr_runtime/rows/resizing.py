"""Bicubic resizing over rows, with the result that `sr_runtime.resize` gives of the whole image."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.resize import combine_rows, resize_bands, resize_columns
from sr_runtime.rows.window import MadeRows, Window

__all__ = ["resized"]

ROWS = 256
"""Rows that are read and resized along their columns at a time."""
BANDS = 16
"""Bands of `resize_bands` that are made at a time."""


def resized(source: MadeRows, height: int, width: int) -> MadeRows:
    """The source at `height` × `width`; the source itself if that is its size."""
    rows, columns, _ = source.shape
    if (rows, columns) == (height, width):
        return source
    # The order of `sr_runtime.resize`.
    if width / columns < height / rows:
        return _with_height(_with_width(source, width), height)
    return _with_width(_with_height(source, height), width)


def _with_width(source: MadeRows, width: int) -> MadeRows:
    height, _, channels = source.shape

    def bands(begin: int) -> Iterator[NDArray[Any]]:
        for first in range(begin, height, ROWS):
            yield resize_columns(source.read(first, min(first + ROWS, height)), width)

    return MadeRows((height, width, channels), source.dtype, bands)


def _with_height(source: MadeRows, height: int) -> MadeRows:
    length, width, channels = source.shape

    def bands(begin: int) -> Iterator[NDArray[Any]]:
        window = Window(source)
        left = (band for band in resize_bands(length, height) if band[0].stop > begin)
        while group := list(islice(left, BANDS)):
            top, bottom = group[0][0].start, group[-1][0].stop
            start, stop = group[0][1].start, group[-1][1].stop
            rows = window.rows(start, stop)
            made = np.empty((bottom - top, width, channels), source.dtype)
            for outputs, inputs, weights in group:
                read = slice(inputs.start - start, inputs.stop - start)
                combine_rows(rows[read], weights, made[outputs.start - top : outputs.stop - top])
            yield made[max(begin - top, 0) :]

    return MadeRows((height, width, channels), source.dtype, bands)
