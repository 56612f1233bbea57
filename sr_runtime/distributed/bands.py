"""One image so large that all workers share it: each makes bands of rows, and the head keeps them.

A band is what one row of tiles writes. The bands have the pixels that one machine makes, because
the tiles are those of the whole image.
"""

import hashlib
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray

from sr_runtime.distributed.cluster import answer
from sr_runtime.distributed.worker import Facts, Worker
from sr_runtime.errors import BackendError, SRError
from sr_runtime.large.output import LargeOutput
from sr_runtime.large.source import LargeFile
from sr_runtime.large.upscale import large_result
from sr_runtime.made_with import made_with
from sr_runtime.output_size import OutputSize

__all__ = ["BandWorker", "alike", "upscale_by_bands"]

IN_FLIGHT = 2
"""Bands that a worker has before it, so that it does not wait for the head."""


class BandWorker(Worker):
    """A worker that makes a part of a result."""

    def fingerprint(self) -> dict[str, str]:
        """Equal for workers that compute the same pixels; by names for a message."""
        return {**made_with(self.upscaler), "the pixels of a test image": self._sample}

    @cached_property
    def _sample(self) -> str:
        """A hash of the result of one tile of noise, made without random numbers."""
        info, (height, width) = self.upscaler.info, self.upscaler.tile
        count = np.arange(height * width * info.in_channels, dtype=np.uint32)
        noise = (count * np.uint32(2654435761) >> 16).astype(np.uint16)
        if info.io == "uint8":  # which takes no more bits
            noise = noise.astype(np.uint8)
        result = self.upscaler.upscale(noise.reshape(height, width, info.in_channels))
        return hashlib.sha256(result.data).hexdigest()[:12]

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
        """Rows [`begin`, `end`) of the result of a file, and the worker's `fingerprint`."""
        part = _Part(begin, end)
        self.upscaler.upscale_stream(
            LargeFile(source), part, scale=size.scale, width=size.width, height=size.height, end=end
        )
        return self.fingerprint(), part.rows


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


def alike(actors: Sequence[Any]) -> list[Any]:
    """The largest group of workers that compute the same pixels; a warning tells of the others."""
    calls = [actor.fingerprint.remote() for actor in actors]
    groups: dict[tuple[tuple[str, str], ...], list[Any]] = {}
    for actor, call in zip(actors, calls, strict=True):
        groups.setdefault(tuple(answer(call).items()), []).append(actor)
    most, *others = sorted(groups, key=lambda fingerprint: len(groups[fingerprint]), reverse=True)
    for other in others:
        warnings.warn(
            f"{len(groups[other])} of {len(actors)} workers make no bands of the largest images, "
            f"since they compute other pixels, with {_difference(dict(most), dict(other))}: use "
            "the same engine on equal machines, or choose by --backend, --precision and --tile",
            RuntimeWarning,
            stacklevel=2,
        )
    return groups[most]


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
        actors: Of `BandWorker`, all `alike`.

    Raises what `upscale_large` raises, and BackendError if a worker has changed, as one that was
    started anew on another machine.
    """
    facts: Facts = answer(actors[0].facts.remote())
    fingerprint = answer(actors[0].fingerprint.remote())
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
            if made_here != fingerprint:
                raise BackendError(
                    "a worker that was started anew computes other pixels, with "
                    f"{_difference(fingerprint, made_here)}: run the command again, which goes on "
                    "with the bands that are kept",
                    path=source,
                )
            kept.write(band)


def _in_order(calls: Iterator[Any], most: int) -> Iterator[Any]:
    """The answers to calls, of which as many are begun ahead."""
    begun = deque(islice(calls, most))
    try:
        while begun:
            yield answer(begun[0])
            begun.popleft()
            begun.extend(islice(calls, 1))
    except SRError:
        # What kills a worker must not do so when that one is at the next image.
        ray.wait([*begun], num_returns=len(begun))
        raise


def _difference(first: Mapping[str, str], other: Mapping[str, str]) -> str:
    name = next(name for name in first if first[name] != other[name])
    return f"{name} {other[name]} and not {first[name]}"
