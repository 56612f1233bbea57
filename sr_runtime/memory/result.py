"""What a result takes in memory, known before the work, and the refusal of one that cannot fit."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from sr_runtime.errors import OutOfMemoryError
from sr_runtime.frame import count_layers
from sr_runtime.memory.free import free_memory
from sr_runtime.output_size import OutputSize

__all__ = ["Enlargement", "check_memory", "peak_bytes"]

# Asking takes up to a millisecond; smaller results are not worth it.
WORTH_ASKING = 32_000_000


@dataclass(frozen=True, kw_only=True)
class Enlargement:
    """How one frame is enlarged."""

    height: int
    width: int
    channels: int
    itemsize: int
    """Bytes of a channel."""
    varying_alpha: bool
    """Whether alpha goes through the network too."""
    factor: int
    """By all passes of the network together."""
    scale: int
    """By one pass."""
    target: tuple[int, int]
    """(height, width) of the result."""

    @classmethod
    def of(
        cls, frame: NDArray[Any], size: OutputSize, target: tuple[int, int], scale: int
    ) -> "Enlargement":
        """A frame to `target`, by a model of `scale`."""
        height, width, channels = frame.shape
        return cls(
            height=height,
            width=width,
            channels=channels,
            itemsize=frame.itemsize,
            varying_alpha=count_layers(frame) > 1,
            factor=scale ** size.passes(height, width, scale),
            scale=scale,
            target=target,
        )

    def result_bytes(self) -> int:
        height, width = self.target
        return height * width * self.channels * self.itemsize

    def peak_bytes(self) -> int:
        """Bytes of arrays at the worst moment, without the frame itself and the tiles in work.

        Where the network's scale is asked for, that is the result: 3 bytes a pixel for RGB of 8
        bits. A further pass adds what it reads; other sizes, the resizing; alpha, its joining:
        12 bytes a pixel for RGBA of 8 bits.
        """
        pixels = self.height * self.width * self.factor**2
        colors = self.channels - 1 + self.channels % 2
        read = pixels // self.scale**2 if self.factor > self.scale else 0
        worst = (pixels + read) * colors
        if colors < self.channels:
            worst = max(worst, pixels * (colors + self.channels))
            if self.varying_alpha:
                # The lowest and the highest around each pixel, and the alpha from both.
                worst = max(worst, pixels * (colors + self.channels + 4))
        height, width = self.height * self.factor, self.width * self.factor
        if self.target != (height, width):
            between = min(self.target[0], height) * min(self.target[1], width)
            resizing = pixels + between + self.target[0] * self.target[1]
            worst = max(worst, resizing * self.channels)
        return worst * self.itemsize


def peak_bytes(frames: Iterable[Enlargement]) -> int:
    """Bytes at the worst moment of all frames, one after the other; their results stay."""
    kept = worst = 0
    for frame in frames:
        worst = max(worst, kept + frame.peak_bytes())
        kept += frame.result_bytes()
    return max(worst, kept)


def check_memory(frames: Iterable[Enlargement]) -> int:
    """`peak_bytes`; OutOfMemoryError if that cannot fit into the memory that is free now."""
    frames = tuple(frames)
    needed = peak_bytes(frames)
    free = free_memory() if needed >= WORTH_ASKING else None
    if free is not None and needed > free:
        height, width = frames[0].target
        results = f"{len(frames)} results" if len(frames) > 1 else "a result"
        raise OutOfMemoryError(
            f"{results} of {width} × {height} pixels cannot fit into memory: "
            f"{needed / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free: ask for a "
            "smaller result (--scale, --width, --height), or split the image first"
        )
    return needed
