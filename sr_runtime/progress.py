"""What a progress callback is told: how many tiles are done, of how many in all."""

from collections.abc import Callable

from sr_runtime.tiling import TilePlan

__all__ = ["Progress", "TileCount"]

Progress = Callable[[int, int], None]
"""Called with (tiles done, tiles in all).

The next tile waits for its return, and it may not use the upscaler that calls it.
"""


class TileCount:
    """Counts the tiles of all the network's runs that an image or animation needs."""

    def __init__(
        self,
        progress: Progress | None,
        plan: Callable[[int, int], TilePlan],
        runs: list[tuple[int, int]],
    ) -> None:
        """`runs` are the (height, width) of the inputs, in order; `plan` tells their tiles."""
        self._progress, self._plan, self._runs = progress, plan, runs
        self._finished = 0

    def start_run(self, tiles: int) -> None:
        """Begin a run of so many tiles, or begin it again: they may have become smaller, as those
        of all later runs."""
        self._done = self._finished
        later = sum(len(self._plan(*run)) for run in self._runs[1:])
        self._total = self._finished + tiles + later

    def advance(self, tiles: int) -> None:
        """Count tiles of the present run."""
        self._done += tiles
        if self._progress is not None:
            self._progress(self._done, self._total)

    def end_run(self) -> None:
        """The present run is complete."""
        self._finished = self._done
        del self._runs[0]
