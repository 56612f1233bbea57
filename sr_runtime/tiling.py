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
from numbers import Integral

from sr_runtime.errors import ArgumentError
from sr_runtime.printable import shown

__all__ = ["LONGEST", "Span", "Tile", "TilePlan", "plan_tiles"]

LONGEST = 1 << 24
"""The longest side of an image: beyond it the plan itself would take minutes."""

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
    phase: int = 1,
    min_tile: tuple[int, int] = (1, 1),
    tile_step: int = 8,
    shape_cost: int = 0,
) -> TilePlan:
    """Plan the tiles of an image of `height` × `width`.

    Args:
        max_tile: Largest tile (height, width) as the network sees it, halo included.
        halo: Least distance of a written pixel from any side where its tile was cut from the image.
        multiple_of: Tile sides are multiples of this.
        phase: Tile origins are multiples of this and of `multiple_of`, and so are the tiles'
            distances from the image's right and bottom, so that a network that works in windows
            sees the same ones in a tile, in a mirrored tile, and in the whole image.
        min_tile: Smallest tile; shorter images are padded up to it. Equal to `max_tile` for a
            model of fixed size.
        tile_step: Tiles of an image that needs several differ from `max_tile` by multiples of
            this, so that images of many sizes share few shapes.
        shape_cost: What preparing a new tile shape costs, in LR pixels. `max_tile` is taken to be
            prepared already; another shape is used where it saves an image's share of this.

    Raises:
        ArgumentError: A tile cannot hold its halo, and the message gives the smallest that can; or
            there is no image of that size.
    """
    if not all(isinstance(side, Integral) and 0 < side <= LONGEST for side in (height, width)):
        raise ArgumentError(
            f"an image of {shown(height)}×{shown(width)} cannot be cut into tiles: its sides are "
            f"whole numbers from 1 to {LONGEST}"
        )
    grid = math.lcm(multiple_of, phase)
    rows = _Axis(height, min_tile[0], max_tile[0], halo, multiple_of, grid)
    cols = _Axis(width, min_tile[1], max_tile[1], halo, multiple_of, grid)
    heights, widths = rows.sides(tile_step), cols.sides(tile_step)

    def cost(shape: tuple[int, int]) -> int:
        extra = 0 if shape == (heights[0], widths[0]) else shape_cost // IMAGES_PER_SHAPE
        return rows.count(shape[0]) * shape[0] * cols.count(shape[1]) * shape[1] + extra

    shape = min(product(heights, widths), key=cost)
    return TilePlan(
        shape=shape,
        padded=(rows.padded(shape[0]), cols.padded(shape[1])),
        rows=rows.spans(shape[0]),
        cols=cols.spans(shape[1]),
    )


@dataclass(frozen=True)
class _Axis:
    """One axis of an image, and the limits of the tiles along it; `plan_tiles` documents them."""

    length: int
    least: int
    most: int
    halo: int
    multiple: int
    grid: int

    def sides(self, step: int) -> list[int]:
        """The sides that a tile may have, the largest first."""
        multiple, halo = self.multiple, self.halo
        length, least = _round_up(self.length, multiple), _round_up(self.least, multiple)
        most = self.most // multiple * multiple
        if least > most:
            raise ArgumentError(
                f"no tile of {least} to {most} pixels is a multiple of {multiple}: use a larger "
                "tile"
            )
        if length <= most:
            return [max(length, least)]
        smallest = _round_up(2 * halo + self.grid, multiple)
        if most < smallest:
            raise ArgumentError(
                f"a tile of {most} pixels has no room for a halo of {halo} on both sides: "
                f"use a tile of at least {smallest}, or a smaller halo"
            )
        # A side below half of the largest costs more in halo than it can save by fitting better.
        shortest = max(least, smallest, most // 2)
        # The image minus such a side is a multiple of the grid: nothing is padded for it.
        largest = length - _round_up(length - most, self.grid)
        fitting = list(range(largest, shortest - 1, -math.lcm(step, self.grid)))
        return fitting or [most]

    def padded(self, side: int) -> int:
        """The length to which the image is padded."""
        beyond = _round_up(self.length, self.multiple) - side
        return side + max(0, _round_up(beyond, self.grid))

    def count(self, side: int) -> int:
        """How many tiles of `side` cover the image."""
        stride = (side - 2 * self.halo) // self.grid * self.grid
        return 1 + (-(-beyond // stride) if (beyond := self.padded(side) - side) else 0)

    def spans(self, side: int) -> tuple[Span, ...]:
        """Spread the tiles evenly. Of two that overlap, a pixel takes the one cut farther away."""
        last = self.count(side) - 1
        steps = (self.padded(side) - side) // self.grid
        starts = [i * steps // last * self.grid for i in range(last + 1)] if last else [0]
        borders = [(left + side + right) // 2 for left, right in pairwise(starts)]
        return tuple(
            Span(start, begin, min(end, self.length))
            for start, begin, end in zip(
                starts, [0, *borders], [*borders, self.length], strict=True
            )
        )


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
