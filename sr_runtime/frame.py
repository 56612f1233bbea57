"""One frame of any kind through a network that only knows colour planes."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.alpha import bleed, restore_flat_areas
from sr_runtime.errors import ArgumentError
from sr_runtime.output_size import OutputSize
from sr_runtime.resize import resize

__all__ = ["check_frame", "color_planes", "network_runs", "upscale_frame"]


def check_frame(array: NDArray[Any]) -> NDArray[Any]:
    """A caller's array as `(H, W, C)`; ArgumentError if it is no image."""
    if not isinstance(array, np.ndarray):
        raise ArgumentError(
            f"an image is a numpy array or a PIL image, and this is {type(array).__name__}: "
            "upscale_file takes the names of files"
        )
    frame = array[:, :, np.newaxis] if array.ndim == 2 else array
    if frame.ndim != 3 or frame.shape[2] not in (1, 2, 3, 4) or 0 in frame.shape:
        raise ArgumentError(
            f"an image is (H, W) or (H, W, C) with 1 to 4 channels, and this array is {array.shape}"
        )
    if frame.dtype not in (np.uint8, np.uint16):
        raise ArgumentError(
            f"an image is uint8 or uint16, and this array is {array.dtype}: scale it to 0–255 and "
            "convert it with .astype(numpy.uint8)"
        )
    return frame


def color_planes(frame: NDArray[Any]) -> NDArray[Any]:
    """The gray or RGB planes of an `(H, W, C)` frame, without alpha."""
    return frame[:, :, : frame.shape[2] - 1 + frame.shape[2] % 2]


def network_runs(frame: NDArray[Any], scale: int, size: OutputSize) -> Iterator[tuple[int, int]]:
    """(height, width) of the network's runs in `upscale_frame`, in their order."""
    height, width = frame.shape[:2]
    for _ in range(2 if _varies(_alpha(frame)) else 1):
        for run in range(size.passes(height, width, scale)):
            yield height * scale**run, width * scale**run


def upscale_frame(
    frame: NDArray[Any],
    network: Callable[[NDArray[Any]], NDArray[Any]],
    scale: int,
    size: OutputSize,
) -> NDArray[Any]:
    """Enlarge an `(H, W, C)` frame to its target size, colour and alpha apart.

    Args:
        network: Enlarges colour planes `(h, w, 1 | 3)` by `scale`.
    """
    height, width = frame.shape[:2]

    def enlarge(planes: NDArray[Any]) -> NDArray[Any]:
        for _ in range(size.passes(height, width, scale)):
            planes = network(planes)
        return planes

    alpha = _alpha(frame)
    if alpha is None:
        result = enlarge(frame)
    else:
        color = enlarge(bleed(color_planes(frame), alpha))
        result = np.empty((*color.shape[:2], color.shape[2] + 1), frame.dtype)
        result[:, :, :-1] = color
        result[:, :, -1] = alpha[0, 0]
        if _varies(alpha):
            enlarged = enlarge(alpha[:, :, np.newaxis])[:, :, 0]
            result[:, :, -1] = restore_flat_areas(enlarged, alpha, len(enlarged) // height)
    target = size.target(height, width, scale)
    return result if result.shape[:2] == target else resize(result, *target)


def _alpha(frame: NDArray[Any]) -> NDArray[Any] | None:
    return frame[:, :, -1] if frame.shape[2] in (2, 4) else None


def _varies(alpha: NDArray[Any] | None) -> bool:
    return alpha is not None and bool((alpha != alpha[0, 0]).any())
