"""The tiles of one plan through the engine: submit, take the results in order, write them."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends.base import Backend, PendingBatch
from sr_runtime.errors import ModelError
from sr_runtime.in_flight import InFlightLimiter
from sr_runtime.tensor import (
    check_finite,
    float_planes,
    planes_from_output,
    tensor_from_tiles,
    write_planes,
)
from sr_runtime.tiling import Tile, TilePlan

__all__ = ["upscale_tiles"]


def upscale_tiles(
    backend: Backend,
    in_flight: InFlightLimiter,
    image: NDArray[Any],
    plan: TilePlan,
    *,
    batch: int,
    tta: bool,
    on_tiles: Callable[[int], None],
) -> NDArray[Any]:
    """Enlarge the `(H, W, C)` colour planes of an image by the model's scale.

    Args:
        in_flight: In `backend`, for this loop and those of other threads.
        batch: Most tiles to submit at once, up to the backend's own limit.
        tta: Average over the eight flips and rotations (self-ensemble of EDSR, Lim et al. 2017).
        on_tiles: Called with the number of tiles that were just written. What it raises ends the
            loop.

    Raises:
        SRError: What befell a batch; none of this loop's is in flight any more then.
    """
    scale, views = backend.info.scale, range(8 if tta else 1)
    height, width, channels = image.shape
    result = np.empty((height * scale, width * scale, channels), image.dtype)
    padding = (0, plan.padded[0] - height), (0, plan.padded[1] - width), (0, 0)
    if any(after for _, after in padding):
        image = np.pad(image, padding, mode="edge")

    pending: deque[tuple[list[Tile], int, PendingBatch]] = deque()
    mean: NDArray[Any] = np.empty(0)

    def finish_one() -> None:
        nonlocal mean
        tiles, view, handle = pending.popleft()
        try:
            planes = _planes(handle.result(), backend, plan.shape, view, len(tiles))
            if tta:
                share = _seen_upright(float_planes(planes), view) / len(views)
                planes = mean = share if view == 0 else mean + share
            if view == views[-1]:
                for tile, tile_planes in zip(tiles, planes, strict=True):
                    _write(tile, tile_planes, result, scale)
        finally:
            try:
                handle.release()
            finally:
                in_flight.give_back()
        if view == views[-1]:
            on_tiles(len(tiles))

    try:
        with in_flight.turn(plan.shape):
            for tiles in _batches(plan, batch):
                inputs = [_cut(image, tile, plan.shape) for tile in tiles]
                if backend.limits.fixed_batch:
                    inputs += inputs[-1:] * (backend.limits.batch - len(inputs))
                for view in views:
                    views_of_tiles = [_seen_as(tile, view) for tile in inputs]
                    tensor = tensor_from_tiles(views_of_tiles, backend.info)
                    while not in_flight.take(wait=not pending):
                        finish_one()
                    try:
                        pending.append((tiles, view, backend.submit(tensor)))
                    except BaseException:  # Ctrl-C too: there is no handle
                        in_flight.give_back()
                        raise
        while pending:
            finish_one()
    finally:
        with ExitStack() as held:  # all of them, should Ctrl-C come while one is waited for
            for _, _, handle in pending:
                held.callback(in_flight.give_back)
                held.callback(handle.release)
    return result


def _batches(tiles: Iterable[Tile], size: int) -> Iterator[list[Tile]]:
    rest = iter(tiles)
    while batch := list(islice(rest, size)):
        yield batch


def _cut(image: NDArray[Any], tile: Tile, shape: tuple[int, int]) -> NDArray[Any]:
    top, left = tile.rows.start, tile.cols.start
    return image[top : top + shape[0], left : left + shape[1]]


def _planes(
    output: NDArray[Any], backend: Backend, shape: tuple[int, int], view: int, count: int
) -> NDArray[Any]:
    """The `(count, C, h, w)` planes of a batch's output, checked."""
    info = backend.info
    planes = planes_from_output(output, info)
    height, width = (side * info.scale for side in (shape if view % 2 == 0 else shape[::-1]))
    if planes.shape[1:] != (info.out_channels, height, width):
        raise ModelError(
            f"the model returned {planes.shape[1:]} for a tile of {shape[0]}×{shape[1]}, expected "
            f"{(info.out_channels, height, width)}: its facts (scale {info.scale}, "
            f"multiple_of {info.multiple_of}) are wrong"
        )
    if planes.dtype != np.uint8:
        check_finite(planes)
    return planes[:count]


def _write(tile: Tile, planes: NDArray[Any], result: NDArray[Any], scale: int) -> None:
    """Copy what the tile gives from its `(C, h, w)` planes into the result."""

    def pixels(begin: int, end: int) -> slice:
        return slice(begin * scale, end * scale)

    rows, cols = tile.rows, tile.cols
    kept = planes[
        :,
        pixels(rows.begin - rows.start, rows.end - rows.start),
        pixels(cols.begin - cols.start, cols.end - cols.start),
    ]
    write_planes(kept, result[pixels(rows.begin, rows.end), pixels(cols.begin, cols.end)])


def _seen_as(tile: NDArray[Any], view: int) -> NDArray[Any]:
    """An `(h, w, C)` tile turned by `view` % 4 quarters, and mirrored from view 4 on."""
    turned = np.rot90(tile, view % 4)
    return turned[:, ::-1] if view >= 4 else turned


def _seen_upright(planes: NDArray[np.float32], view: int) -> NDArray[np.float32]:
    """`(N, C, h, w)` planes of a `view`, as of the tile itself."""
    if view >= 4:
        planes = planes[:, :, :, ::-1]
    return np.rot90(planes, -(view % 4), axes=(2, 3))
