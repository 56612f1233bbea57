"""How large the result is to be: the model's scale, or what the user asks for."""

import math
from dataclasses import dataclass

from sr_runtime.errors import ArgumentError

__all__ = ["OutputSize"]

MAX_SCALE = 64


@dataclass(frozen=True, kw_only=True)
class OutputSize:
    """At most one of the three; the image keeps its proportions. None of them: the model's scale.

    Raises:
        ArgumentError: More than one is given, or one is out of range.
    """

    scale: float | None = None
    """Result over image, above 0 and at most 64."""
    width: int | None = None
    """Pixels, at least 1."""
    height: int | None = None
    """Pixels, at least 1."""

    def __post_init__(self) -> None:
        given = [name for name in ("scale", "width", "height") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ArgumentError(f"{' and '.join(given)} exclude each other: give one of them")
        if self.scale is not None and not 0 < self.scale <= MAX_SCALE:
            raise ArgumentError(f"scale {self.scale} is outside 0 to {MAX_SCALE}")
        for name in ("width", "height"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ArgumentError(f"{name} {value} is not a number of pixels: give 1 or more")

    def target(self, height: int, width: int, model_scale: int) -> tuple[int, int]:
        """(height, width) of the result for an image of `height` × `width`.

        Raises ArgumentError for a width or height of more than 64 times the image's.
        """
        factor: float = model_scale if self.scale is None else self.scale
        if self.width is not None:
            factor = self.width / width
        if self.height is not None:
            factor = self.height / height
        if factor > MAX_SCALE:
            raise ArgumentError(
                f"{factor:.0f} times the size of the image, {width}×{height}, was asked for, and "
                f"{MAX_SCALE} is the most"
            )
        return max(1, round(height * factor)), max(1, round(width * factor))

    def passes(self, height: int, width: int, model_scale: int) -> int:
        """How often the network is to be applied until the result is at least the target.

        Raises:
            ArgumentError: A model of scale 1 was asked to enlarge.
        """
        target = self.target(height, width, model_scale)
        factor = max(target[0] / height, target[1] / width)
        if model_scale == 1 and factor > 1:
            raise ArgumentError(
                f"the model keeps the image's size (scale 1), and {factor:.2f} times was asked for"
            )
        # Rounding the target to whole pixels must not cost another pass.
        return max(1, math.ceil(round(math.log(factor, model_scale), 3))) if factor > 1 else 1
