"""OpenCV's order of channels, which is blue first: arrays from and to it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["from_bgr", "to_bgr"]


def from_bgr(pixels: NDArray[Any]) -> NDArray[Any]:
    """An array of OpenCV, BGR or BGRA, as RGB or RGBA; gray stays as it is.

    large = sr_runtime.image.to_bgr(upscaler.upscale(sr_runtime.image.from_bgr(small)))

    Args:
        pixels: `(H, W)` or `(H, W, C)` of any type.
    """
    if pixels.ndim < 3 or pixels.shape[2] < 3:
        return pixels
    # OpenCV takes arrays with their channels side by side in memory.
    return np.ascontiguousarray(pixels[:, :, [2, 1, 0, 3][: pixels.shape[2]]])


def to_bgr(pixels: NDArray[Any]) -> NDArray[Any]:
    """RGB or RGBA as BGR or BGRA: the same exchange."""
    return from_bgr(pixels)
