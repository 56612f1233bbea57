"""The passes of the network that one picture takes, and the progress over all their tiles."""

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from sr_runtime.tiled_network import TiledNetwork

__all__ = ["Passes", "Progress"]

Progress = Callable[[int, int], None]
"""Called with (tiles done, tiles in total) after every batch.

It runs on the thread that called the upscaler, which waits for it. To cancel, raise: the exception
comes out of the call unchanged. It must not use the upscaler.
"""


class Passes:
    """Applies the network as often as the result's size needs, to each layer of a picture."""

    def __init__(
        self,
        network: TiledNetwork,
        height: int,
        width: int,
        *,
        passes: int,
        layers: int,
        progress: Progress | None,
    ) -> None:
        """`layers` of `height` × `width` will be enlarged, each in `passes` passes."""
        self._network, self._progress = network, progress
        scale = network.info.scale
        self._shapes = [(height * scale**i, width * scale**i) for i in range(passes)]
        self._runs_left = dict.fromkeys(self._shapes, layers)
        # Tiles of the finished runs, of the current one, and of those that follow.
        self._finished = self._current = self._later = 0

    def enlarge(self, layer: NDArray[Any]) -> NDArray[Any]:
        """Enlarge the `(height, width, C)` colour planes of one layer by all passes."""
        for shape in self._shapes:
            self._runs_left[shape] -= 1
            self._finished += self._current
            self._current = 0
            layer = self._network.run(layer, self._report)
        return layer

    def _report(self, done: int, tiles: int) -> None:
        if self._progress is None:
            return
        if tiles != self._current:  # a new run, or the same one with smaller tiles
            self._current = tiles
            self._later = sum(
                runs * len(self._network.plan(*shape)) for shape, runs in self._runs_left.items()
            )
        self._progress(self._finished + done, self._finished + tiles + self._later)
