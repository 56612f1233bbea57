"""The passes of the network that one picture takes, and the progress over all their tiles."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from sr_runtime.frame import count_layers
from sr_runtime.image import Picture
from sr_runtime.output_size import OutputSize
from sr_runtime.tileable import Wrap
from sr_runtime.tiled_network import TiledNetwork

__all__ = ["Layers", "Passes", "Progress"]

Progress = Callable[[int, int], None]
"""Called with (tiles done, tiles in total) after every batch.

It runs on the thread that called the upscaler, which waits for it. To cancel, raise: the exception
comes out of the call unchanged. It must not use the upscaler.
"""


@dataclass(frozen=True)
class Layers:
    """Layers of one size that take equally many passes."""

    height: int
    width: int
    passes: int
    count: int

    @classmethod
    def of(cls, page: Picture, size: OutputSize, scale: int) -> "Layers":
        """Those of all frames of a page, by a model of `scale`."""
        height, width = page.frames[0].shape[:2]
        count = sum(map(count_layers, page.frames))
        return cls(height, width, size.passes(height, width, scale), count)


class Passes:
    """Applies the network as often as the result's size needs, to each layer of a picture."""

    def __init__(
        self,
        network: TiledNetwork,
        layers: Iterable[Layers],
        *,
        wrap: Wrap,
        progress: Progress | None,
    ) -> None:
        """`layers` are all that will be enlarged, of all frames and pages."""
        self._network, self._wrap, self._progress = network, wrap, progress
        self._passes: dict[tuple[int, int], int] = {}
        self._runs_left: Counter[tuple[int, int]] = Counter()
        for one in layers:
            self._passes[one.height, one.width] = one.passes
            for shape in self._shapes(one.height, one.width):
                self._runs_left[shape] += one.count
        # Tiles of the finished runs, of the current one, and of those that follow.
        self._finished = self._current = self._later = 0

    def enlarge(self, layer: NDArray[Any]) -> NDArray[Any]:
        """Enlarge the `(height, width, C)` colour planes of one layer by all passes."""
        for shape in self._shapes(layer.shape[0], layer.shape[1]):
            self._runs_left[shape] -= 1
            self._finished += self._current
            self._current = 0
            layer = self._network.run(layer, self._wrap, self._report)
        return layer

    def _shapes(self, height: int, width: int) -> list[tuple[int, int]]:
        """(height, width) before each pass."""
        scale = self._network.info.scale
        passes = self._passes[height, width]
        return [(height * scale**i, width * scale**i) for i in range(passes)]

    def _report(self, done: int, tiles: int) -> None:
        if self._progress is None:
            return
        if tiles != self._current:  # a new run, or the same one with smaller tiles
            self._current = tiles
            self._later = sum(
                runs * len(self._network.plan(*shape, self._wrap))
                for shape, runs in self._runs_left.items()
            )
        self._progress(self._finished + done, self._finished + tiles + self._later)
