"""PSNR and SSIM as the super-resolution literature computes them.

Luma: Y of Recommendation ITU-R BT.601 in studio range, 16 to 235 on a scale of 255, not rounded.
SSIM: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
structural similarity", IEEE Transactions on Image Processing 13(4), 2004. A gray image counts as
R = G = B and can be compared with an RGB one; 16-bit images are scaled to the same peak of 255.
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError

__all__ = ["Channel", "cropped", "psnr", "ssim"]

Channel = Literal["y", "rgb"]

PEAK = 255.0

# SSIM's window is MATLAB's fspecial("gaussian", 11, 1.5): the outer product of this with itself.
WINDOW = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
WINDOW /= WINDOW.sum()
C1 = (0.01 * PEAK) ** 2
C2 = (0.03 * PEAK) ** 2

# Rows that are held as float64 at a time.
STRIP = 64


def psnr(a: NDArray[Any], b: NDArray[Any], *, channel: Channel, crop: int) -> float:
    """Peak signal-to-noise ratio in dB; infinity for equal images.

    Args:
        a: `(H, W, C)` uint8 or uint16, C being 1 (gray) or 3 (RGB).
        b: The same size and type; gray and RGB may differ.
        channel: "y" for luma, "rgb" for all channels.
        crop: Pixels to leave out along each border.

    Raises:
        ArgumentError: Sizes or types differ, or nothing is left after cropping.
    """
    a, b = cropped(a, b, crop, smallest=1)
    total, count = 0.0, 0
    for x, y in _strips(a, b, channel, overlap=0):
        squares = np.square(x - y)
        total += float(squares.sum())
        count += squares.size
    return float(10 * np.log10(PEAK**2 * count / total)) if total else float("inf")


def ssim(a: NDArray[Any], b: NDArray[Any], *, channel: Channel, crop: int) -> float:
    """Structural similarity, 1 for equal images; in RGB the mean of the three channels.

    Only windows that lie within the cropped image count. Otherwise as `psnr`; raises ArgumentError
    too if less than one window, 11×11 pixels, is left after cropping.
    """
    a, b = cropped(a, b, crop, smallest=len(WINDOW))
    total, count = 0.0, 0
    for x, y in _strips(a, b, channel, overlap=len(WINDOW) - 1):
        mean_x, mean_y = _windowed(x), _windowed(y)
        products, squares = mean_x * mean_y, mean_x**2 + mean_y**2
        covariances = _windowed(x * y) - products
        variances = _windowed(x * x + y * y) - squares
        similarity = (2 * products + C1) * (2 * covariances + C2)
        similarity /= (squares + C1) * (variances + C2)
        total += float(similarity.sum())
        count += similarity.size
    return total / count


def cropped(
    a: NDArray[Any], b: NDArray[Any], crop: int, *, smallest: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both images without their borders; ArgumentError if they cannot be compared."""
    for image in (a, b):
        if image.ndim != 3 or image.shape[2] not in (1, 3):
            raise ArgumentError(
                f"cannot compare images of shape {image.shape}: pass (H, W, 1) or (H, W, 3)"
            )
        if image.dtype not in (np.uint8, np.uint16):
            raise ArgumentError(f"cannot compare {image.dtype} images: pass uint8 or uint16")
    if a.shape[:2] != b.shape[:2] or a.dtype != b.dtype:
        raise ArgumentError(
            f"cannot compare {a.shape[0]}×{a.shape[1]} {a.dtype} pixels with "
            f"{b.shape[0]}×{b.shape[1]} {b.dtype}: size and type must be the same"
        )
    height, width = a.shape[:2]
    if crop < 0 or min(height, width) - 2 * crop < smallest:
        raise ArgumentError(
            f"cannot crop {crop} pixels from each border of {height}×{width}: "
            f"at least {smallest}×{smallest} must be left"
        )
    inner = slice(crop, height - crop), slice(crop, width - crop)
    return a[inner], b[inner]


def _strips(
    a: NDArray[Any], b: NDArray[Any], channel: Channel, *, overlap: int
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Matching rows of both images as float64 planes; each strip repeats `overlap` rows."""
    for top in range(0, len(a) - overlap, STRIP):
        rows = slice(top, top + STRIP + overlap)
        yield _planes(a[rows], channel), _planes(b[rows], channel)


def _planes(image: NDArray[Any], channel: Channel) -> NDArray[np.float64]:
    """The channels to compare, on a scale of 255: `(H, W, 1)` for Y, `(H, W, C)` for RGB."""
    pixels = image.astype(np.float64) * (PEAK / np.iinfo(image.dtype).max)
    if channel == "rgb":
        return pixels
    red, green, blue = np.broadcast_to(pixels, (*pixels.shape[:2], 3)).transpose(2, 0, 1)
    luma: NDArray[np.float64] = 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / PEAK
    return luma[:, :, None]


def _windowed(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian means, from `(H, W, C)` to `(H − 10, W − 10, C)`."""
    for axis in (0, 1):
        x = sliding_window_view(x, len(WINDOW), axis) @ WINDOW
    return x
