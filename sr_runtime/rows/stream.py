"""From a reader through the network to a writer. Reading and writing go on meanwhile.

The rows take the way of `Upscaler.upscale`: passes of the network, then bicubic resizing to the
size that was asked for. What is in memory depends on the image's width and not on its height.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError
from sr_runtime.frame import color_planes
from sr_runtime.model_info import ModelInfo
from sr_runtime.output_size import OutputSize
from sr_runtime.passes import Progress
from sr_runtime.rows.enlarging import enlarged
from sr_runtime.rows.protocols import RowReader, RowWriter
from sr_runtime.rows.resizing import resized
from sr_runtime.rows.window import MadeRows
from sr_runtime.tensor import check_image
from sr_runtime.tiled_network import TiledNetwork

__all__ = ["stream"]

CHUNK = 256
"""Rows that are read at a time."""
CHANNELS = ((1,), (2,), (3,), (4,))
DTYPES = (np.uint8, np.uint16, np.float32)


def stream(
    reader: RowReader,
    writer: RowWriter,
    network: TiledNetwork,
    size: OutputSize,
    progress: Progress | None,
    end: int | None = None,
) -> None:
    """Upscale what `reader` gives into `writer`; `Upscaler.upscale_stream` documents it."""
    _check(reader, network.info)
    height, width, _ = reader.shape
    scale = network.info.scale
    target = size.target(height, width, scale)
    if end is not None and not 0 <= end <= target[0]:
        raise ArgumentError(f"end is {end!r}: give one of the {target[0]} rows of the result")
    passes = size.passes(height, width, scale)
    sides = [(height * scale**i, width * scale**i) for i in range(passes)]
    total, done = sum(len(network.plan(*side)) for side in sides), 0

    def on_tiles(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, total)

    with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as writing:
        rows = _read_ahead(reader, reading)
        for _ in sides:
            rows = enlarged(rows, network, on_tiles)
        rows = resized(rows, *target)
        there = writer.start(rows.shape, rows.dtype)
        if not 0 <= there <= target[0]:
            raise ArgumentError(
                f"start of the writer returned {there!r}: give how many of the {target[0]} rows "
                "are there already"
            )
        written: Future[None] | None = None
        left = (target[0] if end is None else end) - there
        bands = rows.bands(there)
        while left > 0:
            band = next(bands)[:left]
            left -= len(band)
            if band.dtype.kind == "f":  # bicubic overshoots
                np.clip(band, 0, 1, out=band)
            if written is not None:
                written.result()
            written = writing.submit(writer.write, band)
        if written is not None:
            written.result()


def _check(reader: RowReader, info: ModelInfo) -> None:
    """Raise ArgumentError if what the reader states is no image, or none that the model takes."""
    shape, dtype = reader.shape, reader.dtype
    if 0 in shape or shape[2:] not in CHANNELS or dtype not in DTYPES:
        raise ArgumentError(
            f"the reader states {shape} of {dtype}: an image is (height, width, channels) with 1 "
            "to 4 channels, of uint8, uint16 or float32 in native byte order"
        )
    check_image(color_planes(np.empty((1, 1, shape[2]), dtype)), info)


def _read_ahead(reader: RowReader, thread: ThreadPoolExecutor) -> MadeRows:
    """The reader's rows; some are read while those before them are in work."""
    height, width, channels = reader.shape

    def read(begin: int) -> NDArray[Any]:
        end = min(begin + CHUNK, height)
        rows = reader.read(begin, end)
        expected = (end - begin, width, channels)
        if (rows.shape, rows.dtype) != (expected, reader.dtype):
            raise ArgumentError(
                f"the reader gave {rows.shape} of {rows.dtype} for its rows from {begin} to {end}, "
                f"and its shape and type say {expected} of {reader.dtype}"
            )
        return rows

    def bands(begin: int) -> Iterator[NDArray[Any]]:
        following = thread.submit(read, begin)
        for first in range(begin + CHUNK, height, CHUNK):
            rows = following.result()
            following = thread.submit(read, first)
            yield rows
        yield following.result()

    return MadeRows((height, width, channels), reader.dtype, bands)
