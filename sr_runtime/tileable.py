"""Tileable images, such as textures: which sides continue each other."""

from typing import Literal, NamedTuple, get_args

from sr_runtime.errors import ArgumentError

__all__ = ["NO_WRAP", "Tileable", "Wrap", "wrap_of"]

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
            f"tileable {tileable!r} is not valid: give x if the left and right edges "
            "continue each other, y if the top and bottom do, or xy"
        )
    return Wrap(rows="y" in tileable, cols="x" in tileable)
