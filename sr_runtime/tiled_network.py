"""The network over an image of any size.

Plan the tiles, run them, use smaller tiles if memory runs out.
"""

import math
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends.base import Backend, PendingBatch
from sr_runtime.errors import ArgumentError, ModelError, NonFiniteError
from sr_runtime.in_flight import InFlightLimiter
from sr_runtime.self_ensemble import VIEWS, apply_view, undo_view
from sr_runtime.tensor import (
    check_finite,
    float_planes,
    planes_from_output,
    tensor_from_tiles,
    write_planes,
)
from sr_runtime.tile_size import halo_pixels, largest_tile
from sr_runtime.tileable import NO_WRAP, Wrap
from sr_runtime.tiling import Tile, TilePlan
from sr_runtime.wrapped_tiling import extended, plan_wrapped

__all__ = ["TiledNetwork"]

# Pixels of the result that a row of tiles makes: two such rows are in memory where an image is read
# and written by rows, and RGB of 8 bits takes 3 bytes for each. The plan is the same in memory, so
# that both give the same result.
ROW_OF_TILES = 1 << 27

# In and out: alpha goes through the network apart from colour.
CHANNELS = ((1, 1), (3, 3))


class TiledNetwork:
    """A backend behind a tile plan. Several threads may run images through it at once."""

    def __init__(
        self,
        backend: Backend,
        *,
        tile: int | Literal["auto"],
        halo: int | Literal["auto", "exact"],
        tta: bool,
        model: Path | None = None,
    ) -> None:
        """`load` documents the arguments. Raises ArgumentError if they do not fit the model.

        Args:
            model: The backend's file, for messages.
        """
        self.info = backend.info
        if (channels := (self.info.in_channels, self.info.out_channels)) not in CHANNELS:
            raise ModelError(
                f"the model takes {channels[0]} channel(s) and gives {channels[1]}, and only those "
                "from gray to gray (1) or from RGB to RGB (3) are run here: run it with ONNX "
                "Runtime's own interface"
            )
        self.halo = halo_pixels(backend.info, halo)
        self.tile = self.max_tile = largest_tile(backend, tile, self.halo)
        limits = backend.limits
        if tta and any(tile and tile[0] != tile[1] for tile in (limits.min_tile, limits.max_tile)):
            raise ArgumentError(
                f"tta rotates tiles by 90°, but this model takes only tiles of {limits.min_tile} "
                f"to {limits.max_tile}: leave tta out"
            )
        self._backend = backend
        self._model = model
        self._batch = limits.batch
        self._views = VIEWS if tta else VIEWS[:1]
        # The self-ensemble averages floats.
        self._pixels = limits.pixels and not tta
        self._in_flight = InFlightLimiter(limits.depth)
        # Fail now if a tile cannot hold its halo, and not at the first large image.
        self.plan(self.max_tile[0] + 1, self.max_tile[1] + 1)

    def plan(
        self,
        height: int,
        width: int,
        wrap: Wrap = NO_WRAP,
        *,
        max_tile: tuple[int, int] | None = None,
    ) -> TilePlan:
        """The tiles of an image of `height` × `width`."""
        limits = self._backend.limits
        most, across = max_tile or self.max_tile
        return plan_wrapped(
            height,
            width,
            wrap,
            max_tile=(min(most, self._tallest_tile(width)), across),
            halo=self.halo,
            multiple_of=self.info.multiple_of,
            phase=self.info.phase,
            min_tile=limits.min_tile,
            tile_step=limits.tile_step,
            shape_cost=limits.shape_cost,
        )

    def run(
        self,
        planes: NDArray[Any],
        wrap: Wrap,
        on_tiles: Callable[[int, int], None],
        plan: TilePlan | None = None,
    ) -> NDArray[Any]:
        """Apply the network once: `(H, W, C)` colour planes to `(scale·H, scale·W, C)`.

        When memory runs out, the image starts again with smaller batches or tiles, which the
        network keeps for later images.

        Args:
            on_tiles: Called with (tiles done, tiles of this run). What it raises ends the run.
            plan: The tiles, if `planes` are a part of an image whose plan is known. What its tiles
                do not write stays undefined. Once tiles have shrunk below it, the part has a plan
                of its own.

        Raises:
            SRError: A batch failed. None of this run's batches is in flight any more.
        """
        (height, width, channels), scale = planes.shape, self.info.scale
        while True:
            tiles, batch = self._plan_batches(height, width, wrap, plan)
            if len(tiles) > 1 and self.info.tiles_differ(self.halo):
                whole = self.info.receptive_radius is None
                remedy = "a larger --tile" if whole else "--halo exact if tiles have room for it"
                warnings.warn(
                    "the network looks further than its tiles overlap, and this image needs "
                    f"{len(tiles)} tiles, which change the result by about "
                    f"{self.info.tile_error}/255: use a smaller image, or {remedy}",
                    RuntimeWarning,
                    stacklevel=2,
                )
            result = np.empty((height * scale, width * scale, channels), planes.dtype)
            image = extended(planes, tiles, wrap)
            try:
                self._run_tiles(image, result, tiles, batch, on_tiles)
                return result
            except ModelError as error:
                error.path = error.path or self._model
                raise
            except NonFiniteError as error:
                raise NonFiniteError(f"{error}: {self._remedy()}") from error
            except MemoryError as error:  # the engine's, or numpy's for what goes into it
                with self._in_flight.exclusive():
                    self._backend.shrink()
                    # If several threads ran out of memory together, one reduction is enough.
                    if self._plan_batches(height, width, wrap, plan) == (tiles, batch):
                        self._take_less(tiles, batch, error)

    def _run_tiles(
        self,
        image: NDArray[Any],
        result: NDArray[Any],
        plan: TilePlan,
        batch: int,
        on_tiles: Callable[[int, int], None],
    ) -> None:
        """Submit the tiles in batches, take the outputs in the same order, and write them."""
        backend, in_flight, last_view = self._backend, self._in_flight, self._views[-1]
        scale = self.info.scale
        channels = image.shape[2]
        pixels = self._pixels and image.dtype.kind == "u"
        outputs = channels if pixels else self.info.out_channels

        holder = in_flight.holder(plan.shape)
        pending: deque[tuple[list[Tile], int, PendingBatch]] = deque()
        mean: NDArray[Any] = np.empty(0)
        done = 0

        def finish_oldest() -> None:
            nonlocal mean, done
            tiles, view, handle = pending[0]
            try:
                planes = self._planes_from(handle.result(), outputs, plan.shape, view)
                planes = planes[: len(tiles)]
                if last_view > 0:
                    share = undo_view(float_planes(planes), view) / len(self._views)
                    planes = mean = share if view == 0 else mean + share
                if view == last_view:
                    for tile, tile_planes in zip(tiles, planes, strict=True):
                        rows, cols = tile.rows, tile.cols
                        kept = tile_planes[:, rows.kept(scale), cols.kept(scale)]
                        write_planes(kept, result[rows.written(scale), cols.written(scale)])
            finally:
                try:
                    pending.popleft()[-1].release()
                finally:
                    in_flight.give_back(holder)
            if view == last_view:
                done += len(tiles)
                on_tiles(done, len(plan))

        try:
            with in_flight.turn(holder):
                for tiles in _batches(plan, batch):
                    inputs = [_cut(image, plan, tile) for tile in tiles]
                    if backend.limits.fixed_batch:
                        inputs += inputs[-1:] * (backend.limits.batch - len(inputs))
                    for view in self._views:
                        viewed = [apply_view(tile, view) for tile in inputs]
                        tensor = tensor_from_tiles(viewed, self.info, pixels=pixels)
                        while not in_flight.take(holder, wait=not pending):
                            finish_oldest()
                        pending.append((tiles, view, backend.submit(tensor)))
            while pending:
                finish_oldest()
        finally:
            try:
                with ExitStack() as stack:  # releases them all, even if Ctrl-C interrupts one
                    for _, _, handle in pending:
                        stack.callback(handle.release)
            finally:
                in_flight.give_back_all(holder)

    def _planes_from(
        self, output: NDArray[Any], channels: int, tile_shape: tuple[int, int], view: int
    ) -> NDArray[Any]:
        """Check a batch's output and view it as `(N, channels, h, w)` planes."""
        info = self.info
        planes = planes_from_output(output, info)
        turned = tile_shape if view % 2 == 0 else tile_shape[::-1]
        expected = (channels, turned[0] * info.scale, turned[1] * info.scale)
        if planes.shape[1:] != expected:
            raise ModelError(
                f"the model returned {planes.shape[1:]} for a tile of "
                f"{tile_shape[0]}×{tile_shape[1]} instead of {expected}: its metadata (scale "
                f"{info.scale}, multiple_of {info.multiple_of}) is wrong, export it again"
            )
        if planes.dtype.kind == "f":
            check_finite(planes)
        return planes

    def _plan_batches(
        self, height: int, width: int, wrap: Wrap, plan: TilePlan | None
    ) -> tuple[TilePlan, int]:
        """The tiles of an image, and how many go into a batch."""
        if plan is None or any(map(int.__gt__, plan.shape, self.max_tile)):
            plan = self.plan(height, width, wrap)
        return plan, min(self._batch, len(plan))

    def _tallest_tile(self, width: int) -> int:
        """Height up to which a row of tiles over an image of `width` gives few enough pixels."""
        info = self.info
        affordable = ROW_OF_TILES // (width * info.scale**2)
        # Lower rows would compute more halo than they write.
        least = 4 * self.halo + 64 + math.lcm(info.multiple_of, info.phase)
        return max(affordable, least, self._backend.limits.min_tile[0])

    def _remedy(self) -> str:
        """What helps against NaN and infinity, which depends on how the model runs."""
        backend = self._backend
        if backend.compute_dtype != "fp32" and backend.device == "cpu":
            return f"{backend.compute_dtype} may be too coarse for it; use precision fp32"
        if backend.compute_dtype == "fp16" or self.info.weights_dtype == "float16":
            return "its FP16 tensors overflow, or its weights are damaged; use an FP32 file of it"
        return "its weights are damaged, or the export is; export it again from its checkpoint"

    def _take_less(self, plan: TilePlan, batch: int, error: MemoryError) -> None:
        """Halve the batch or, once a batch is one tile, the largest tile.

        Raises `error` if a smaller tile could not hold its halo.
        """
        if batch > 1 and not self._backend.limits.fixed_batch:
            self._batch = batch // 2
            less = f"{self._batch} tiles at a time instead of {batch}"
        else:
            smaller = max(plan.shape) // 2
            try:
                max_tile = largest_tile(self._backend, smaller, self.halo)
                self.plan(*plan.padded, max_tile=max_tile)
            except ArgumentError:
                raise error from None
            self.max_tile = max_tile
            less = f"tiles of {smaller} instead of {max(plan.shape)}"
        warnings.warn(f"{error}: continuing with {less}", RuntimeWarning, stacklevel=2)


def _batches(tiles: Iterable[Tile], size: int) -> Iterator[list[Tile]]:
    rest = iter(tiles)
    while batch := list(islice(rest, size)):
        yield batch


def _cut(image: NDArray[Any], plan: TilePlan, tile: Tile) -> NDArray[Any]:
    """The part of an extended image that a tile reads."""
    top, left = tile.rows.start - plan.rows[0].start, tile.cols.start - plan.cols[0].start
    return image[top : top + plan.shape[0], left : left + plan.shape[1]]
