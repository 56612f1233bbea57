"""MATLAB's bicubic `imresize`, which made the low-resolution images of the field's benchmarks.

Cubic convolution (Keys, "Cubic convolution interpolation for digital image processing", 1981) with
a = −0.5, stretched over 1/scale pixels when shrinking (antialiasing); border pixels are repeated
outwards. The axes are resized one after the other, and integer images are rounded (half up) and
clipped after each.

Along an axis, each band of outputs is one small dense matrix times the inputs it reads. BLAS does
this several times faster than gathering taps, and only one block at a time is held as floats.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError
from sr_runtime.tileable import NO_WRAP, Wrap

__all__ = ["combine_rows", "downscale", "mod_crop", "resize", "resize_bands", "resize_columns"]

# Outputs per matrix. At a scale of ½, 16 outputs read 38 inputs, and each output needs 8 of them.
BAND = 16

# Float64 inputs held at a time: 2 MiB stay in the cache.
BLOCK = 1 << 18

# At many scales a pixel lies exactly halfway between two integers, and the order in which the BLAS
# adds decides on which side the float64 sum falls. The margin exceeds that error: all round up.
HALF_UP = 0.5 + 1e-9


def resize(image: NDArray[Any], height: int, width: int, wrap: Wrap = NO_WRAP) -> NDArray[Any]:
    """Resize `(H, W, C)` or `(H, W)` to `height` × `width` by bicubic interpolation.

    uint8, uint16 or any float type, and the result has the same type and rank; floats are neither
    rounded nor clipped. Takes the memory of the result and of the image resized along one axis.

    Args:
        wrap: The axes on which the image continues with its opposite side, and not with its edge.

    Raises:
        ArgumentError: The image or size is empty, or the image has another rank or type.
    """
    if image.ndim not in (2, 3) or image.size == 0:
        raise ArgumentError(f"cannot resize an array of shape {image.shape}: expected (H, W, C)")
    if image.dtype not in (np.uint8, np.uint16) and not np.issubdtype(image.dtype, np.floating):
        raise ArgumentError(f"cannot resize {image.dtype} pixels: pass uint8, uint16 or float")
    if min(height, width) < 1:
        raise ArgumentError(f"cannot resize to {height}×{width} pixels: both must be at least 1")
    pixels = image[:, :, None] if image.ndim == 2 else image
    # Like MATLAB, the axis that shrinks most comes first, which also leaves less for the second.
    if width / image.shape[1] < height / image.shape[0]:
        pixels = _resize_rows(resize_columns(pixels, width, wrap.cols), height, wrap.rows)
    else:
        pixels = resize_columns(_resize_rows(pixels, height, wrap.rows), width, wrap.cols)
    return pixels.reshape(height, width, *image.shape[2:])


def mod_crop(image: NDArray[Any], factor: int) -> NDArray[Any]:
    """View of `image` (H, W, …) without the last rows and columns that `factor` doesn't divide."""
    height, width = image.shape[:2]
    if not 1 <= factor <= min(height, width):
        raise ArgumentError(
            f"cannot shrink {height}×{width} pixels by {factor}: "
            f"the factor must be between 1 and {min(height, width)}"
        )
    return image[: height - height % factor, : width - width % factor]


def downscale(image: NDArray[Any], factor: int) -> NDArray[Any]:
    """The low-resolution image of a benchmark pair: mod-crop, then shrink by `factor`."""
    cropped = mod_crop(image, factor)
    return resize(cropped, cropped.shape[0] // factor, cropped.shape[1] // factor)


def resize_bands(
    length: int, wanted: int, wraps: bool = False
) -> Iterator[tuple[slice, range, NDArray[np.float64]]]:
    """Split an axis with `length` inputs and `wanted` outputs into bands of outputs.

    Yields the outputs, the inputs that they read, which may lie beyond the ends if the axis wraps,
    and the weights: one row for each output.
    """
    scale = wanted / length
    shrink = min(scale, 1.0)
    for start in range(0, wanted, BAND):
        stop = min(start + BAND, wanted)
        centres = (np.arange(start, stop) + 0.5) / scale - 0.5
        leftmost = np.floor(centres - 2 / shrink).astype(np.int64)
        taps = leftmost[:, None] + np.arange(int(np.ceil(4 / shrink)) + 2)
        weights = _cubic((taps - centres[:, None]) * shrink)
        weights /= weights.sum(axis=1, keepdims=True)
        if not wraps:
            taps = taps.clip(0, length - 1)
        first, last = int(taps.min()), int(taps.max()) + 1
        matrix = np.zeros((stop - start, last - first))
        np.add.at(matrix, (np.arange(stop - start)[:, None], taps - first), weights)
        yield slice(start, stop), range(first, last), matrix


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' kernel with a = −0.5, which is zero for |x| ≥ 2."""
    x = np.abs(x)
    inner = (1.5 * x - 2.5) * x * x + 1
    outer = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, inner, np.where(x < 2, outer, 0.0))


def _resize_rows(image: NDArray[Any], height: int, wraps: bool) -> NDArray[Any]:
    """(H, W, C) to (height, W, C)."""
    result = np.empty((height, *image.shape[1:]), image.dtype)
    for outputs, inputs, weights in resize_bands(len(image), height, wraps):
        combine_rows(image[_places(inputs, len(image))], weights, result[outputs])
    return result


def combine_rows(rows: NDArray[Any], weights: NDArray[np.float64], result: NDArray[Any]) -> None:
    """Write into `result`, `(h, W, C)`, weighted sums of `rows`, `(n, W, C)`."""
    _, width, channels = rows.shape
    step = max(1, BLOCK // (weights.shape[1] * channels))
    for left in range(0, width, step):
        columns = slice(left, left + step)
        block = rows[:, columns].astype(np.float64, order="C")
        sums = weights @ block.reshape(len(block), -1)
        target = result[:, columns]
        target[...] = _quantised(sums, rows.dtype).reshape(target.shape)


def resize_columns(image: NDArray[Any], width: int, wraps: bool = False) -> NDArray[Any]:
    """(H, W, C) to (H, width, C)."""
    height, columns, channels = image.shape
    result = np.empty((height, width, channels), image.dtype)
    for outputs, inputs, weights in resize_bands(columns, width, wraps):
        # Zeros keep the interleaved channels apart, which is cheaper than transposing the image.
        matrix = np.kron(weights.T, np.eye(channels))
        step = max(1, BLOCK // len(matrix))
        for top in range(0, height, step):
            rows = slice(top, top + step)
            block = image[rows, _places(inputs, columns)].astype(np.float64, order="C")
            sums = block.reshape(len(block), -1) @ matrix
            target = result[rows, outputs]
            target[...] = _quantised(sums, image.dtype).reshape(target.shape)
    return result


def _places(inputs: range, length: int) -> slice | NDArray[np.int64]:
    """Where they lie on an axis, which wraps if they reach beyond it."""
    if inputs.start < 0 or inputs.stop > length:
        return np.arange(inputs.start, inputs.stop) % length
    return slice(inputs.start, inputs.stop)


def _quantised(values: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Convert to pixels of `dtype`: integers are rounded half up and clipped, in place."""
    if np.issubdtype(dtype, np.integer):
        values += HALF_UP
        np.clip(values, 0, np.iinfo(dtype).max, out=values)
    return values.astype(dtype)
