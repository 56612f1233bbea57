"""PSNR and SSIM as the super-resolution literature computes them, and the table of a data set.

Luma: Y of Recommendation ITU-R BT.601 in studio range, 16 to 235 on a scale of 255, not rounded.
SSIM: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to
structural similarity", IEEE Transactions on Image Processing 13(4), 2004. A gray image counts as
R = G = B, and can be compared with an RGB one; 16-bit images are scaled to the same peak of 255.
Learned distances, such as LPIPS, need a network: the caller brings them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from statistics import fmean
from typing import Any, Literal, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError

__all__ = [
    "Channel",
    "Distance",
    "ImagePair",
    "Score",
    "compare",
    "mean",
    "models_table",
    "psnr",
    "score",
    "ssim",
    "table",
]

Channel = Literal["y", "rgb"]
Distance = Callable[[NDArray[Any], NDArray[Any]], float]

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


class ImagePair(Protocol):
    """An image of a data set: `sr_runtime.evaluation.pairs.Pair`, or one of a packed set."""

    @property
    def name(self) -> str: ...

    def read(self, scale: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """LR (h, w, C) and HR (scale·h, scale·w, C)."""


@dataclass(frozen=True)
class Score:
    """PSNR in dB, SSIM and LPIPS of one image, or their means over a data set."""

    name: str
    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float
    lpips: float | None = None
    """None: not measured."""


def score(
    upscale: Callable[[NDArray[Any]], NDArray[Any]],
    pairs: Iterable[ImagePair],
    *,
    scale: int,
    crop: int | None = None,
    distance: Distance | None = None,
) -> list[Score]:
    """Score `upscale`, which makes (scale·H, scale·W, C) of (H, W, C), on whole images.

    `crop` is the border left out, in high-resolution pixels: `scale` if None, as is customary.
    `distance` gives the LPIPS of two images (H, W, C) that are cropped already.
    """
    border = scale if crop is None else crop
    scores = []
    for pair in pairs:
        lr, hr = pair.read(scale)
        scores.append(compare(pair.name, upscale(lr), hr, crop=border, distance=distance))
    return scores


def compare(
    name: str,
    sr: NDArray[Any],
    hr: NDArray[Any],
    *,
    crop: int,
    distance: Distance | None = None,
) -> Score:
    """Everything `score` measures, of one image; ArgumentError, with its `name`, as `psnr`."""
    try:
        values = [
            metric(sr, hr, channel=channel, crop=crop)
            for channel in ("y", "rgb")
            for metric in (psnr, ssim)
        ]
        if distance is not None:
            values.append(distance(*_comparable(sr, hr, crop, smallest=1)))
    except ArgumentError as error:
        raise ArgumentError(f"{name}: {error}") from error
    return Score(name, *values)


def mean(scores: Sequence[Score], name: str = "mean") -> Score:
    """The mean of every column; that of LPIPS is None unless all have it."""
    *columns, distances = zip(*(astuple(row)[1:] for row in scores), strict=True)
    figures: list[Any] = [fmean(column) for column in columns]
    figures.append(None if None in distances else fmean(distances))
    return Score(name, *figures)


def table(scores: Sequence[Score], *, crop: int, references: Sequence[Score] = ()) -> str:
    """Markdown: the protocol, then `scores`, their mean, and `references` to compare it with."""
    return _markdown("image", [*scores, mean(scores), *references], images=len(scores), crop=crop)


def models_table(means: Sequence[Score], *, images: int, crop: int) -> str:
    """Markdown: the protocol, then the mean over `images` images of each model, by its name."""
    return _markdown("model", means, images=images, crop=crop)


def _markdown(label: str, rows: Sequence[Score], *, images: int, crop: int) -> str:
    head = (
        f"{images} images, each as a whole, {crop} pixels cropped along every border; PSNR in "
        "dB, SSIM with an 11×11 Gaussian window; Y: luma in BT.601 studio range"
    )
    columns = {
        label: [row.name for row in rows],
        "PSNR Y": [f"{row.psnr_y:.3f}" for row in rows],
        "SSIM Y": [f"{row.ssim_y:.4f}" for row in rows],
        "PSNR RGB": [f"{row.psnr_rgb:.3f}" for row in rows],
        "SSIM RGB": [f"{row.ssim_rgb:.4f}" for row in rows],
    }
    if any(row.lpips is not None for row in rows):
        head += "; LPIPS v0.1 with SqueezeNet, in RGB, smaller is better"
        columns["LPIPS"] = ["" if row.lpips is None else f"{row.lpips:.4f}" for row in rows]

    first, *others = ((title, max(map(len, (title, *cells)))) for title, cells in columns.items())
    lines = [
        f"| {first[0]:{first[1]}} | "
        + " | ".join(f"{title:>{width}}" for title, width in others)
        + " |",
        f"|:{'-' * first[1]}-|" + "|".join("-" * (width + 1) + ":" for _, width in others) + "|",
    ]
    for name, *values in zip(*columns.values(), strict=True):
        cells = (f"{value:>{width}}" for value, (_, width) in zip(values, others, strict=True))
        lines.append(f"| {name:{first[1]}} | {' | '.join(cells)} |")
    return "\n".join([head, "", *lines])
