"""Where to look: the parts of a picture with the most fine detail, found by measuring."""

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageChops, ImageFilter

__all__ = ["Box", "around", "fine_detail", "windows"]

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, as Pillow counts."""

COARSEST = 2
"""Radius in pixels of the blur that leaves only what is not fine."""


def fine_detail(image: PIL.Image.Image, square: int) -> NDArray[np.float64]:
    """How much fine detail each square of `square`×`square` pixels has.

    `(H // square, W // square)`: the mean difference in brightness, from 0 to 255, between the
    pixels and a blur of them.
    """
    gray = image.convert("L")
    fine = ImageChops.difference(gray, gray.filter(ImageFilter.BoxBlur(COARSEST)))
    rows, columns = image.height // square, image.width // square
    whole = np.asarray(fine)[: rows * square, : columns * square]
    squares = whole.reshape(rows, square, columns, square)
    detail: NDArray[np.float64] = squares.mean(axis=(1, 3), dtype=np.float64)
    return detail


def windows(
    score: NDArray[np.float64],
    width: int,
    height: int,
    *,
    count: int,
    first: tuple[int, int] | None = None,
) -> list[tuple[int, int]]:
    """Left and top of up to `count` windows with the highest total score, the highest first.

    None overlaps another, so that there may be fewer of them.

    Args:
        score: `(rows, columns)`, at least `height` × `width`.
        first: Take this window first, whatever its score.
    """
    sums = np.pad(score, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    total = (
        sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
        + sums[:-height, :-width]
    )  # fmt: skip
    found: list[tuple[int, int]] = []
    while len(found) < count and total.max() > -np.inf:
        if first is not None and not found:
            left, top = first
        else:
            row, column = np.unravel_index(total.argmax(), total.shape)
            left, top = int(column), int(row)
        found.append((left, top))
        overlapping = np.s_[
            max(0, top - height + 1) : top + height, max(0, left - width + 1) : left + width
        ]
        total[overlapping] = -np.inf
    return found


def around(middle: tuple[int, int], width: int, height: int, *, within: tuple[int, int]) -> Box:
    """The box of `width` × `height` nearest to `middle` in a picture of the size `within`."""
    left, top = (
        min(max(0, center - side // 2), whole - side)
        for center, side, whole in zip(middle, (width, height), within, strict=True)
    )
    return left, top, left + width, top + height
