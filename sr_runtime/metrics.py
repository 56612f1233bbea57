"""PSNR and SSIM as the super-resolution literature computes them, and the table of a data set.

Luma: Y of Recommendation ITU-R BT.601 in studio range, 16 to 235 on a scale of 255, not rounded.
SSIM: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
structural similarity", IEEE Transactions on Image Processing 13(4), 2004. A gray image counts as
R = G = B, and can be compared with an RGB one; 16-bit images are scaled to the same peak of 255.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from statistics import fmean
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError
from sr_runtime.pairs import Pair

__all__ = ["Channel", "Score", "mean", "psnr", "score", "ssim", "table"]

Channel = Literal["y", "rgb"]

PEAK = 255.0

# SSIM's window is MATLAB's fspecial("gaussian", 11, 1.5): the outer product of this with itself.
WINDOW = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
WINDOW /= WINDOW.sum()
C1 = (0.01 * PEAK) ** 2
C2 = (0.03 * PEAK) ** 2

# Rows held as float64 at a time.
STRIP = 64


def psnr(a: NDArray[Any], b: NDArray[Any], *, channel: Channel, crop: int) -> float:
    """Peak signal-to-noise ratio in dB; infinity for equal images.

    Images (H, W, 1 or 3), both uint8 or both uint16, without `crop` pixels along each border.
    Raises ArgumentError if sizes or dtypes differ, or if nothing is left after cropping.
    """
    a, b = _comparable(a, b, crop, smallest=1)
    total, count = 0.0, 0
    for x, y in _strips(a, b, channel, overlap=0):
        squares = np.square(x - y)
        total += float(squares.sum())
        count += squares.size
    return float(10 * np.log10(PEAK**2 * count / total)) if total else float("inf")


def ssim(a: NDArray[Any], b: NDArray[Any], *, channel: Channel, crop: int) -> float:
    """Structural similarity, 1 for equal images; in RGB the mean of the three channels.

    Only windows wholly within the cropped image count. As `psnr` otherwise, and raises
    ArgumentError if less than one window, 11×11 pixels, is left after cropping.
    """
    a, b = _comparable(a, b, crop, smallest=len(WINDOW))
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


def _comparable(
    a: NDArray[Any], b: NDArray[Any], crop: int, *, smallest: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both images without their borders, or an ArgumentError."""
    for image in (a, b):
        if image.ndim != 3 or image.shape[2] not in (1, 3):
            raise ArgumentError(
                f"cannot compare images of shape {image.shape}: pass gray (H, W, 1) or RGB"
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
    """The channels to compare, on a scale of 255: (H, W, 1) for Y, (H, W, C) for RGB."""
    pixels = image.astype(np.float64) * (PEAK / np.iinfo(image.dtype).max)
    if channel == "rgb":
        return pixels
    red, green, blue = np.broadcast_to(pixels, (*pixels.shape[:2], 3)).transpose(2, 0, 1)
    luma: NDArray[np.float64] = 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / PEAK
    return luma[:, :, None]


def _windowed(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gaussian means, (H, W, C) to (H − 10, W − 10, C)."""
    for axis in (0, 1):
        x = sliding_window_view(x, len(WINDOW), axis) @ WINDOW
    return x


@dataclass(frozen=True)
class Score:
    """PSNR in dB and SSIM of one image, or their means over a data set."""

    name: str
    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float


def score(
    upscale: Callable[[NDArray[Any]], NDArray[Any]],
    pairs: Iterable[Pair],
    *,
    scale: int,
    crop: int | None = None,
) -> list[Score]:
    """Score `upscale`, which makes (scale·H, scale·W, C) of (H, W, C), on whole images.

    `crop` is the border left out, in high-resolution pixels: `scale` if None, as is customary.
    """
    border = scale if crop is None else crop
    scores = []
    for pair in pairs:
        lr, hr = pair.read(scale)
        sr = upscale(lr)
        try:
            values = [
                metric(sr, hr, channel=channel, crop=border)
                for channel in ("y", "rgb")
                for metric in (psnr, ssim)
            ]
        except ArgumentError as error:
            raise ArgumentError(f"{pair.name}: {error}") from error
        scores.append(Score(pair.name, *values))
    return scores


def mean(scores: Sequence[Score], name: str = "mean") -> Score:
    """The mean of every column."""
    columns = zip(*(astuple(row)[1:] for row in scores), strict=True)
    return Score(name, *map(fmean, columns))


def table(scores: Sequence[Score], *, crop: int, references: Sequence[Score] = ()) -> str:
    """Markdown: the protocol, then `scores`, their mean, and `references` to compare it with."""
    rows = [
        (
            row.name,
            f"{row.psnr_y:.3f}",
            f"{row.ssim_y:.4f}",
            f"{row.psnr_rgb:.3f}",
            f"{row.ssim_rgb:.4f}",
        )
        for row in (*scores, mean(scores), *references)
    ]
    width = max(len(row[0]) for row in rows)
    lines = [
        f"{len(scores)} images, each as a whole, {crop} pixels cropped along every border; PSNR in "
        "dB, SSIM with an 11×11 Gaussian window; Y: luma in BT.601 studio range",
        "",
        f"| {'image':{width}} | PSNR Y | SSIM Y | PSNR RGB | SSIM RGB |",
        f"|:{'-' * width}-|-------:|-------:|---------:|---------:|",
    ]
    lines += [f"| {n:{width}} | {a:>6} | {b:>6} | {c:>8} | {d:>8} |" for n, a, b, c, d in rows]
    return "\n".join(lines)
