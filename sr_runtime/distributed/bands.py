"""One image so large that all workers share it: each makes bands of rows, and the head keeps them.

A band is what one row of tiles writes. The bands have the pixels that one machine makes, because
the tiles are those of the whole image.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.distributed.cluster import answer
from sr_runtime.distributed.worker import Facts, Worker
from sr_runtime.errors import BackendError
from sr_runtime.large.output import LargeOutput
from sr_runtime.large.source import LargeFile
from sr_runtime.large.upscale import large_result
from sr_runtime.made_with import made_with
from sr_runtime.output_size import OutputSize

__all__ = ["BandWorker", "upscale_by_bands"]

IN_FLIGHT = 2
"""Bands that a worker has before it, so that it does not wait for the head."""


class BandWorker(Worker):
    """A worker that makes a part of a result."""

    def cuts(self, height: int, width: int, size: OutputSize) -> list[int]:
        """Where the bands of a result end, for an image of `height` × `width`."""
        scale = self.upscaler.info.scale
        enlarged = scale ** (size.passes(height, width, scale) - 1)
        rows = self.upscaler.plan(height * enlarged, width * enlarged).rows
        whole, _ = size.target(height, width, scale)
        return sorted({span.end * whole // rows[-1].end for span in rows})

    def band(
        self, source: str, begin: int, end: int, size: OutputSize
    ) -> tuple[dict[str, str], NDArray[Any]]:
        """Rows [`begin`, `end`) of the result of a file, and what they were made with."""
        part = _Part(begin, end)
        self.upscaler.upscale_stream(
            LargeFile(source), part, scale=size.scale, width=size.width, height=size.height, end=end
        )
        return made_with(self.upscaler), part.rows


class _Part:
    """A `RowWriter` of the rows from one of a result to another."""

    def __init__(self, begin: int, end: int) -> None:
        self._begin, self._end = begin, end
        self._there = 0

    def start(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> int:
        self.rows = np.empty((self._end - self._begin, *shape[1:]), dtype)
        return self._begin

    def write(self, rows: NDArray[Any]) -> None:
        self.rows[self._there : self._there + len(rows)] = rows
        self._there += len(rows)


def upscale_by_bands(
    actors: Sequence[Any],
    source: str,
    output: LargeOutput,
    *,
    size: OutputSize,
) -> None:
    """Upscale a file that all machines see; `upscale_large` does it on one, with the same result.

    Either goes on with what the other one left when it was interrupted.

    Args:
        actors: Of `BandWorker`.

    Raises what `upscale_large` raises, and BackendError if the workers do not all make the same
    pixels.
    """
    facts: Facts = answer(actors[0].facts.remote())
    scale, made = facts.info.scale, facts.made
    with large_result(Path(source), output, size, scale, made) as (reader, kept):
        rows, columns, channels = reader.shape
        height, width = size.target(rows, columns, scale)
        there = kept.start((height, width, channels), reader.dtype)
        cuts = answer(actors[0].cuts.remote(rows, columns, size))
        parts = pairwise([there, *(cut for cut in cuts if cut > there)])
        calls = (
            actor.band.remote(source, *part, size)
            for actor, part in zip(cycle(actors), parts, strict=False)
        )
        for made_here, band in _in_order(calls, IN_FLIGHT * len(actors)):
            if made_here != made:
                raise BackendError(_difference(made, made_here), path=source)
            kept.write(band)


def _in_order(calls: Iterator[Any], most: int) -> Iterator[Any]:
    """The answers to calls, of which as many are begun ahead."""
    begun = deque(islice(calls, most))
    while begun:
        yield answer(begun.popleft())
        begun.extend(islice(calls, 1))


def _difference(first: Mapping[str, str], other: Mapping[str, str]) -> str:
    name = next(name for name in first if first[name] != other[name])
    return (
        f"the workers would make different pixels, with {name} {first[name]} and {other[name]}: "
        "give all of them the same by --backend, --precision and --tile"
    )
