"""A picture through the network: the passes that it takes, and the progress over their tiles."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from sr_runtime.frame import color_planes, count_layers, upscale_frame
from sr_runtime.image import Picture
from sr_runtime.image.out_of_memory import memory_for
from sr_runtime.memory.result import Enlargement, check_memory
from sr_runtime.output_size import OutputSize
from sr_runtime.tensor import check_image
from sr_runtime.tileable import Wrap, check_wrap
from sr_runtime.tiled_network import TiledNetwork

__all__ = ["Progress", "upscale_frames"]

Progress = Callable[[int, int], None]
"""Called with (tiles done, tiles in total) after every batch.

It runs on the thread that called the upscaler, which waits for it. To cancel, raise: the exception
comes out of the call unchanged. It must not use the upscaler.
"""


def upscale_frames(
    picture: Picture,
    network: TiledNetwork,
    size: OutputSize,
    wrap: Wrap,
    progress: Progress | None,
) -> Picture:
    """Upscale every frame and page; `Upscaler.upscale` says what is raised.

    Further pages are enlarged as many times as the first, whatever states its size.
    """
    pages, scale = (picture, *picture.pages), network.info.scale
    rows, columns = picture.frames[0].shape[:2]
    sizes, targets = [size], [size.target(rows, columns, scale)]
    for page in picture.pages:
        sizes.append(OutputSize(scale=size.factor(rows, columns, scale)))
        height, width = page.frames[0].shape[:2]
        targets.append(sizes[-1].target(height, width, scale))
    needed = check_memory(
        Enlargement.of(frame, each, target, scale)
        for page, each, target in zip(pages, sizes, targets, strict=True)
        for frame in page.frames
    )
    for page in pages:
        for frame in page.frames:
            check_wrap(frame.shape[0], frame.shape[1], wrap, network.info, network.halo)
            check_image(color_planes(frame), network.info)
    with memory_for("upscale the image", needed):
        passes = _Passes(
            network,
            (_Layers.of(*each, scale) for each in zip(pages, sizes, strict=True)),
            wrap=wrap,
            progress=progress,
        )
        first, *others = (
            replace(
                page,
                frames=tuple(
                    upscale_frame(frame, passes.enlarge, *target, wrap) for frame in page.frames
                ),
            )
            for page, target in zip(pages, targets, strict=True)
        )
    return replace(first, pages=tuple(others))


@dataclass(frozen=True)
class _Layers:
    """Layers of one size that take equally many passes."""

    height: int
    width: int
    passes: int
    count: int

    @classmethod
    def of(cls, page: Picture, size: OutputSize, scale: int) -> "_Layers":
        """Those of all frames of a page, by a model of `scale`."""
        height, width = page.frames[0].shape[:2]
        count = sum(map(count_layers, page.frames))
        return cls(height, width, size.passes(height, width, scale), count)


class _Passes:
    """Applies the network as often as the result's size needs, to each layer of a picture."""

    def __init__(
        self,
        network: TiledNetwork,
        layers: Iterable[_Layers],
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
