"""Tileable images, such as textures: which sides continue each other."""

import math
from typing import Literal, NamedTuple, get_args

from sr_runtime.errors import ArgumentError
from sr_runtime.model_info import ModelInfo
from sr_runtime.printable import shown

__all__ = ["NO_WRAP", "Tileable", "Wrap", "check_wrap", "wrap_of"]

Tileable = Literal["x", "y", "xy"]
"""Along which axes copies of the image continue each other: "x" is left to right."""


class Wrap(NamedTuple):
    """Which axes wrap."""

    rows: bool = False
    cols: bool = False


NO_WRAP = Wrap()


def wrap_of(tileable: object) -> Wrap:
    """The axes that "x", "y" or "xy" wraps; none for None. ArgumentError for anything else."""
    if tileable is None:
        return NO_WRAP
    if not isinstance(tileable, str) or tileable not in get_args(Tileable):
        raise ArgumentError(
            f"tileable {shown(tileable)} is not valid: give x if the left and right edges "
            "continue each other, y if the top and bottom do, or xy"
        )
    return Wrap(rows="y" in tileable, cols="x" in tileable)


def check_wrap(height: int, width: int, wrap: Wrap, info: ModelInfo, halo: int) -> None:
    """Raise ArgumentError if the model cannot give the sides that wrap results without a seam."""
    if any(wrap) and info.tiles_differ(halo):
        whole = info.receptive_radius is None
        sees = "at the whole image" if whole else f"further than {halo} pixels"
        remedy = "" if whole else "--halo exact if tiles have room for it, "
        raise ArgumentError(
            f"the network looks {sees}, so copies of its result do not continue each other: use "
            f"{remedy}another model, or leave tileable out"
        )
    grid = math.lcm(info.multiple_of, info.phase)
    for name, side, wraps in (("height", height, wrap.rows), ("width", width, wrap.cols)):
        if wraps and side % grid:
            raise ArgumentError(
                f"copies of this texture continue each other only if its {name}, {side}, is a "
                f"multiple of {grid}, since the model works in blocks of that size: crop or resize "
                "it, or leave tileable out"
            )
