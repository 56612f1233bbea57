"""The tile plan: how an image is cut into overlapping tiles, and which pixels each tile writes.

Integers only. All lengths are LR pixels and all tiles of a plan have one shape. Every tile lies
inside the image, so the network's zero padding affects only the image's true border:

    image      |-----------------------------------------|
    tile 0     |=========kept=========|..halo..|
    tile 1              |..halo..|====kept====|..halo..|
    tile 2                           |..halo..|===kept===|
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product

from sr_runtime.errors import ArgumentError

__all__ = ["Span", "Tile", "TilePlan", "plan_tiles"]

# An image seldom pays for its tile shape alone: the frames of a video and a camera's photos have
# one size, and the command line upscales images of one shape after each other.
IMAGES_PER_SHAPE = 4


@dataclass(frozen=True)
class Span:
    """One axis of a tile: it reads from `start` on, and writes the output of [`begin`, `end`)."""

    start: int
    begin: int
    end: int

    def kept(self, scale: int) -> slice:
        """The part of the tile's output that is written."""
        return slice((self.begin - self.start) * scale, (self.end - self.start) * scale)

    def written(self, scale: int) -> slice:
        """Where in the result it is written."""
        return slice(self.begin * scale, self.end * scale)


@dataclass(frozen=True)
class Tile:
    """One tile: its rows and its columns."""

    rows: Span
    cols: Span


@dataclass(frozen=True)
class TilePlan:
    """Tiles of `shape` over an image that is padded at the right and bottom to `padded`."""

    shape: tuple[int, int]
    padded: tuple[int, int]
    rows: tuple[Span, ...]
    cols: tuple[Span, ...]

    def __len__(self) -> int:
        return len(self.rows) * len(self.cols)

    def __iter__(self) -> Iterator[Tile]:
        return (Tile(rows, cols) for rows, cols in product(self.rows, self.cols))


def plan_tiles(
    height: int,
    width: int,
    *,
    max_tile: tuple[int, int],
    halo: int,
    multiple_of: int = 1,
    min_tile: tuple[int, int] = (1, 1),
    tile_step: int = 8,
    shape_cost: int = 0,
) -> TilePlan:
    """Plan the tiles of an image of `height` × `width`.

    Args:
        max_tile: Largest tile (height, width) as the network sees it, halo included.
        halo: Least distance of a written pixel from any side where its tile was cut from the image.
        multiple_of: Tile sides and origins are multiples of this.
        min_tile: Smallest tile; shorter images are padded up to it. Equal to `max_tile` for a
            model of fixed size.
        tile_step: Tiles of an image that needs several differ from `max_tile` by multiples of
            this, so that images of many sizes share few shapes.
        shape_cost: What preparing a new tile shape costs, in LR pixels. `max_tile` is taken to be
            prepared already; another shape is used where it saves an image's share of this.

    Raises:
        ArgumentError: A tile cannot hold its halo. The message gives the smallest that can.
    """
    heights = _tile_lengths(height, min_tile[0], max_tile[0], halo, multiple_of, tile_step)
    widths = _tile_lengths(width, min_tile[1], max_tile[1], halo, multiple_of, tile_step)
    padded = (
        max(_round_up(height, multiple_of), heights[-1]),
        max(_round_up(width, multiple_of), widths[-1]),
    )

    def cost(shape: tuple[int, int]) -> int:
        rows = _count(padded[0], shape[0], halo, multiple_of)
        cols = _count(padded[1], shape[1], halo, multiple_of)
        extra = 0 if shape == (heights[0], widths[0]) else shape_cost // IMAGES_PER_SHAPE
        return rows * shape[0] * cols * shape[1] + extra

    shape = min(product(heights, widths), key=cost)
    return TilePlan(
        shape=shape,
        padded=padded,
        rows=_spans(height, padded[0], shape[0], halo, multiple_of),
        cols=_spans(width, padded[1], shape[1], halo, multiple_of),
    )


def _tile_lengths(
    length: int, least: int, most: int, halo: int, multiple: int, step: int
) -> list[int]:
    """The sides that a tile may have along one axis, the largest first."""
    length, least = _round_up(length, multiple), _round_up(least, multiple)
    most = most // multiple * multiple
    if least > most:
        raise ArgumentError(
            f"no tile of {least} to {most} pixels is a multiple of {multiple}: use a larger tile"
        )
    if length <= most:
        return [max(length, least)]
    smallest = _round_up(2 * halo + multiple, multiple)
    if most < smallest:
        raise ArgumentError(
            f"a tile of {most} pixels has no room for a halo of {halo} on both sides: "
            f"use a tile of at least {smallest}, or a smaller halo"
        )
    # A side below half of the largest costs more in halo than it can save by fitting better.
    shortest = max(least, smallest, most // 2)
    return list(range(most, shortest - 1, -math.lcm(step, multiple)))


def _count(length: int, side: int, halo: int, multiple: int) -> int:
    """How many tiles of `side` cover `length`."""
    if length <= side:
        return 1
    stride = (side - 2 * halo) // multiple * multiple
    return 1 + -(-(length - side) // stride)


def _spans(length: int, padded: int, side: int, halo: int, multiple: int) -> tuple[Span, ...]:
    """Spread the tiles evenly. Of two that overlap, a pixel takes the one whose cut is farther."""
    last = _count(padded, side, halo, multiple) - 1
    steps = (padded - side) // multiple
    starts = [i * steps // last * multiple for i in range(last + 1)] if last else [0]
    borders = [(left + side + right) // 2 for left, right in pairwise(starts)]
    return tuple(
        Span(start, begin, min(end, length))
        for start, begin, end in zip(starts, [0, *borders], [*borders, length], strict=True)
    )


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
