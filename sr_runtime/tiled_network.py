"""The network over images of any size: in tiles, for several threads, in the memory there is."""

import warnings
from typing import Any, Literal

from numpy.typing import NDArray

from sr_runtime.backends.base import Backend
from sr_runtime.errors import ArgumentError, OutOfMemoryError
from sr_runtime.in_flight import InFlightLimiter
from sr_runtime.model_info import ModelInfo
from sr_runtime.progress import TileCount
from sr_runtime.tile_loop import upscale_tiles
from sr_runtime.tiling import TilePlan, plan_tiles

__all__ = ["TiledNetwork"]

# Larger tiles recompute less halo and take more memory: with a 23-block RRDBNet about 2 GB, either.
AUTO_TILE = {"bf16": 512, "fp16": 512, "fp32": 384}

LARGEST_TILE = 1 << 16


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
        self.halo = _chosen_halo(backend.info, halo)
        self.max_tile = _largest_tile(backend, tile, self.halo)
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
        self._in_flight = InFlightLimiter(limits.depth)
        # A tile that cannot hold its halo is to be found now, not at the first large image.
        self.plan(self.max_tile[0] + 1, self.max_tile[1] + 1)

    def plan(self, height: int, width: int) -> TilePlan:
        """The tiles of an image of `height` × `width`."""
        return self._plan(height, width, self.max_tile)

    def _plan(self, height: int, width: int, max_tile: tuple[int, int]) -> TilePlan:
        limits = self._backend.limits
        return plan_tiles(
            height,
            width,
            max_tile=max_tile,
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
                    self._in_flight,
                    planes,
                    plan,
                    batch=batch,
                    tta=self._tta,
                    on_tiles=tiles.advance,
                )
            except OutOfMemoryError as error:
                with self._in_flight.exclusive():
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
            smaller = max(plan.shape) // 2
            try:
                max_tile = _largest_tile(self._backend, smaller, self.halo)
                self._plan(*plan.padded, max_tile)
            except ArgumentError:
                raise error from None
            self.max_tile = max_tile
            less = f"tiles of {smaller} instead of {max(plan.shape)}"
        warnings.warn(f"{error}: going on with {less}", RuntimeWarning, stacklevel=2)


def _chosen_halo(info: ModelInfo, halo: object) -> int:
    """LR pixels for "auto", "exact" or a number; ArgumentError for anything else."""
    if halo == "auto":
        return info.halo
    if halo == "exact":
        if info.receptive_radius is None:
            raise ArgumentError(
                "halo exact needs the model's receptive radius, which this file does not state: "
                "export it with `python -m sr_export onnx`, or give the halo as a number"
            )
        return info.receptive_radius
    if isinstance(halo, int) and halo >= 0:
        return halo
    raise ArgumentError(f"halo {halo!r} is none of auto, exact, or a number from 0 up")


def _largest_tile(backend: Backend, tile: object, halo: int) -> tuple[int, int]:
    """(height, width) for "auto" or a largest side; ArgumentError for anything else."""
    limits = backend.limits
    least = max(limits.min_tile)
    if tile == "auto":
        usual = limits.tile or AUTO_TILE[backend.compute_dtype]
        side = max(usual, 2 * halo + usual // 2, least)
    elif isinstance(tile, int) and least <= tile <= LARGEST_TILE:
        side = tile
    else:
        raise ArgumentError(
            f"tile {tile!r} is neither auto nor a number from {least}, the smallest that this "
            f"model takes, to {LARGEST_TILE}"
        )
    most = limits.max_tile or (side, side)
    return min(side, most[0]), min(side, most[1])
