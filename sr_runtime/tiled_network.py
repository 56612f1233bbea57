"""The network over images of any size: in tiles, for several threads, in the memory there is."""

import warnings
from typing import Any, Literal

from numpy.typing import NDArray

from sr_runtime.backends import Backend
from sr_runtime.errors import ArgumentError, OutOfMemoryError
from sr_runtime.progress import TileCount
from sr_runtime.room import Room
from sr_runtime.tile_loop import upscale_tiles
from sr_runtime.tile_size import chosen_halo, largest_tile
from sr_runtime.tiling import TilePlan, plan_tiles

__all__ = ["TiledNetwork"]


class TiledNetwork:
    """A backend, the tiles that it is given, and the room that threads share in it."""

    def __init__(
        self,
        backend: Backend,
        *,
        tile: int | Literal["auto"],
        halo: int | Literal["auto", "exact"],
        tta: bool,
    ) -> None:
        """Raises ArgumentError for what the model cannot take; `load` has the arguments."""
        self.halo = chosen_halo(backend.info, halo)
        self.max_tile = largest_tile(backend, tile, self.halo)
        self._backend = backend
        self._batch = backend.limits.batch
        self._tta = tta
        limits = backend.limits
        if tta and (limits.min_tile, limits.max_tile) != (
            limits.min_tile[::-1],
            limits.max_tile and limits.max_tile[::-1],
        ):
            raise ArgumentError(
                f"tta turns tiles by a quarter, and the model takes only {limits.min_tile} to "
                f"{limits.max_tile}: leave tta out"
            )
        self._room = Room(limits.depth)
        # A tile that cannot hold its halo is to be found now, not at the first large image.
        self.plan(self.max_tile[0] + 1, self.max_tile[1] + 1)

    def plan(self, height: int, width: int) -> TilePlan:
        """The tiles of an image of `height` × `width`."""
        limits = self._backend.limits
        return plan_tiles(
            height,
            width,
            max_tile=self.max_tile,
            halo=self.halo,
            multiple_of=self._backend.info.multiple_of,
            min_tile=limits.min_tile,
            tile_step=limits.tile_step,
            shape_cost=limits.shape_cost,
        )

    def run(self, planes: NDArray[Any], tiles: TileCount) -> NDArray[Any]:
        """Apply the network once to `(H, W, C)`, with less at a time from where memory ran out."""
        height, width = planes.shape[:2]
        while True:
            plan, batch = self._planned(height, width)
            tiles.start_run(len(plan))
            try:
                result = upscale_tiles(
                    self._backend,
                    self._room,
                    planes,
                    plan,
                    batch=batch,
                    tta=self._tta,
                    on_tiles=tiles.advance,
                )
            except OutOfMemoryError as error:
                with self._room.alone():
                    self._backend.shrink()
                    # Where several threads ran out of it together, one step is enough for all.
                    if self._planned(height, width) == (plan, batch):
                        self._take_less(plan, batch, error)
            else:
                tiles.end_run()
                return result

    def _planned(self, height: int, width: int) -> tuple[TilePlan, int]:
        """The tiles of an image, and how many of them go into a batch."""
        plan = self.plan(height, width)
        return plan, min(self._batch, len(plan))

    def _take_less(self, plan: TilePlan, batch: int, error: OutOfMemoryError) -> None:
        """Halve the batch, or the largest tile once there is one in a batch.

        Raises `error` if the tile could not hold its halo then.
        """
        if batch > 1 and not self._backend.limits.fixed_batch:
            self._batch = batch // 2
            less = f"{self._batch} tiles at a time instead of {batch}"
        else:
            before, smaller = self.max_tile, max(plan.shape) // 2
            try:
                self.max_tile = largest_tile(self._backend, smaller, self.halo)
                self.plan(*plan.padded)
            except ArgumentError:
                self.max_tile = before
                raise error from None
            less = f"tiles of {smaller} instead of {max(plan.shape)}"
        warnings.warn(f"{error}: going on with {less}", RuntimeWarning, stacklevel=2)
