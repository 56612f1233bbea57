"""Tiles that reach over the sides of a tileable image, where it goes on with its opposite side.

A wrapped axis is planned as a longer one, with the opposite side's pixels at either end. They are
read and not written:

    axis       |.opposite.|------------image------------|.opposite.|
    tile 0     |...halo...|=====kept=====|...halo...|
    tile 1                    |...halo...|=====kept=====|...halo...|
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.tileable import Wrap
from sr_runtime.tiling import Span, TilePlan, plan_tiles

__all__ = ["extended", "plan_wrapped"]


def plan_wrapped(
    height: int,
    width: int,
    wrap: Wrap,
    *,
    halo: int,
    multiple_of: int = 1,
    phase: int = 1,
    **limits: Any,
) -> TilePlan:
    """As `plan_tiles`, with tiles that also reach over the sides that wrap.

    On a wrapped axis the first tile starts before 0, and `padded` counts the pixels there too.
    """
    # Tiles may start on the image's first pixel, as they do without wrapping.
    grid = math.lcm(multiple_of, phase)
    before = -(-halo // grid) * grid
    plan = plan_tiles(
        height + wrap.rows * (before + halo),
        width + wrap.cols * (before + halo),
        halo=halo,
        multiple_of=multiple_of,
        phase=phase,
        **limits,
    )
    return replace(
        plan,
        rows=_moved(plan.rows, wrap.rows * before, height),
        cols=_moved(plan.cols, wrap.cols * before, width),
    )


def extended(image: NDArray[Any], plan: TilePlan, wrap: Wrap) -> NDArray[Any]:
    """`(H, W, C)` with all that its tiles read: sides that wrap, and repeated edge pixels."""
    for axis, spans in enumerate((plan.rows, plan.cols)):
        length, start, padded = image.shape[axis], spans[0].start, plan.padded[axis]
        if start < 0 or padded > length:
            places = np.arange(start, start + padded)
            inside = places % length if wrap[axis] else places.clip(0, length - 1)
            image = image.take(inside, axis)
    return image


def _moved(spans: Sequence[Span], before: int, length: int) -> tuple[Span, ...]:
    """The spans counted from the image's own first pixel, and writing only its own `length`."""
    return tuple(
        Span(span.start - before, max(span.begin - before, 0), min(span.end - before, length))
        for span in spans
        if span.begin - before < length
    )
