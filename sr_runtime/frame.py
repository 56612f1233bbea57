"""One frame of any kind through a network that takes colour only: arrays in, alpha apart."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError
from sr_runtime.resize import resize
from sr_runtime.tileable import NO_WRAP, Wrap
from sr_runtime.transparency import bleed, restore_flat_areas

__all__ = [
    "alpha_plane",
    "color_planes",
    "count_layers",
    "frame_from_array",
    "upscale_frame",
    "with_alpha",
]


def frame_from_array(array: object) -> NDArray[Any]:
    """A caller's array, `(H, W)` or `(H, W, C)`, as `(H, W, C)` in native byte order.

    Raises ArgumentError if it is not an image; the message shows how to convert it.
    """
    if not isinstance(array, np.ndarray):
        raise ArgumentError(_not_an_array(array))
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise ArgumentError(
            "pixels of this array are masked, and an image has a value everywhere: use "
            "image.filled(0)"
        )
    array = np.asarray(array)  # of no subclass: a matrix stays one whatever is done to it
    frame = array[:, :, np.newaxis] if array.ndim == 2 else array
    if frame.ndim != 3 or frame.shape[2] not in (1, 2, 3, 4) or 0 in frame.shape:
        raise ArgumentError(
            "an image is (H, W) or (H, W, C) with 1 to 4 channels, and this array is "
            f"{array.shape}{_layout_hint(array.shape)}"
        )
    if frame.dtype not in ("u1", "<u2", ">u2") and (line := _converting_line(frame)):
        values = f" from {frame.min():g} to {frame.max():g}" if frame.dtype.kind == "f" else ""
        raise ArgumentError(
            "an image is uint8, uint16, or float32 in [0, 1], and this array is "
            f"{frame.dtype}{values}: use {line}"
        )
    return frame.astype(frame.dtype.newbyteorder("="), copy=False)


def color_planes(frame: NDArray[Any]) -> NDArray[Any]:
    """The gray or RGB planes of an `(H, W, C)` frame, without alpha."""
    return frame[:, :, : frame.shape[2] - 1 + frame.shape[2] % 2]


def count_layers(frame: NDArray[Any]) -> int:
    """How many layers `upscale_frame` enlarges: colour, and alpha unless it is flat."""
    return 2 if _varies(alpha_plane(frame)) else 1


def upscale_frame(
    frame: NDArray[Any],
    enlarge: Callable[[NDArray[Any]], NDArray[Any]],
    height: int,
    width: int,
    wrap: Wrap = NO_WRAP,
) -> NDArray[Any]:
    """Enlarge an `(H, W, C)` frame to `height` × `width`, colour and alpha apart.

    Args:
        enlarge: Enlarges `(H, W, 1 | 3)` by a whole factor, the same for colour and alpha. A
            result of another size than asked for is resized.
    """
    alpha = alpha_plane(frame)
    if alpha is None:
        result = enlarge(frame)
    else:
        color = enlarge(bleed(color_planes(frame), alpha, wrap))
        result = with_alpha(color, alpha, enlarge, wrap)
    if result.shape[:2] != (height, width):
        result = resize(result, height, width, wrap)
        if result.dtype.kind == "f":  # bicubic overshoots, and resize clips only integers
            np.clip(result, 0, 1, out=result)
    return result


def _not_an_array(image: object) -> str:
    message = f"an image is a numpy array or a PIL image, and this is {type(image).__name__}: "
    if any(base.__module__.partition(".")[0] == "torch" for base in type(image).__mro__):
        planes = ".permute(1, 2, 0)" if _is_planes(tuple(getattr(image, "shape", ()))) else ""
        return message + f"convert it with tensor{planes}.cpu().numpy()"
    if isinstance(image, list | tuple):
        return message + "convert it with numpy.asarray(image, numpy.uint8)"
    if hasattr(image, "__array__"):
        return message + "convert it with numpy.asarray(image)"
    return message + "give the name of a file to upscale_file"


def _is_planes(shape: tuple[int, ...]) -> bool:
    """Whether an array is `(C, H, W)` by its looks, and not `(H, W, C)`."""
    return len(shape) == 3 and 0 not in shape and shape[0] in (1, 3, 4) and shape[2] > 4


def _layout_hint(shape: tuple[int, ...]) -> str:
    if _is_planes(shape):
        return ", which looks like (C, H, W): use image.transpose(1, 2, 0)"
    if len(shape) == 4:
        return ", which looks like a batch: upscale its images one by one"
    return ""


def _converting_line(frame: NDArray[Any]) -> str | None:
    """The line that makes an image of another type or range; None if it is float32 in [0, 1]."""
    if frame.dtype == np.bool_:
        return "image.astype(numpy.uint8) * 255"
    if frame.dtype.kind not in "iuf":
        return "numbers of one of these types"
    if frame.dtype.kind != "f":
        bits = 8 if frame.max() <= 255 else 16
        return f"numpy.clip(image, 0, {2**bits - 1}).astype(numpy.uint{bits})"
    low, high = frame.min(), frame.max()  # either is NaN if any value is
    if low >= 0 and high <= 1:
        line = "image"
    elif np.isnan(low):
        line = "numpy.nan_to_num(image)"
    elif low >= 0 and 2 < high <= 65535:
        line = f"image / {255 if high <= 255 else 65535}"
    else:
        line = "numpy.clip(image, 0, 1)"
    if frame.dtype.newbyteorder("=") != np.float32:
        line = f"({line})" if "/" in line else line
        line += ".astype(numpy.float32)"
    return None if line == "image" else line


def with_alpha(
    color: NDArray[Any],
    alpha: NDArray[Any],
    enlarge: Callable[[NDArray[Any]], NDArray[Any]],
    wrap: Wrap = NO_WRAP,
) -> NDArray[Any]:
    """Enlarge alpha, `(H, W)`, and join it to `color`, which `enlarge` has made already."""
    result = np.empty((*color.shape[:2], color.shape[2] + 1), color.dtype)
    result[:, :, :-1] = color
    result[:, :, -1] = alpha[0, 0]
    if _varies(alpha):
        enlarged = enlarge(alpha[:, :, np.newaxis])[:, :, 0]
        factor = len(enlarged) // len(alpha)
        result[:, :, -1] = restore_flat_areas(enlarged, alpha, factor, wrap)
    return result


def alpha_plane(frame: NDArray[Any]) -> NDArray[Any] | None:
    """The alpha of an `(H, W, C)` frame, None if it has none."""
    return frame[:, :, -1] if frame.shape[2] in (2, 4) else None


def _varies(alpha: NDArray[Any] | None) -> bool:
    return alpha is not None and bool((alpha != alpha[0, 0]).any())
