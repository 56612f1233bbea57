"""The size of the result: the model's scale, or what the caller asks for."""

import math
from dataclasses import dataclass
from numbers import Integral, Real

from sr_runtime.errors import ArgumentError
from sr_runtime.printable import shown

__all__ = ["OutputSize"]

MAX_SCALE = 64
MAX_SIDE = 1 << 30


@dataclass(frozen=True, kw_only=True)
class OutputSize:
    """At most one of the three; the image keeps its proportions. With none, the model's scale.

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
        if self.scale is not None and not _is_number(self.scale, Real, MAX_SCALE):
            raise ArgumentError(
                f"scale {shown(self.scale)} is out of range: give a number above 0 and up to "
                f"{MAX_SCALE}"
            )
        for name in ("width", "height"):
            value = getattr(self, name)
            if value is not None and not _is_number(value, Integral, MAX_SIDE):
                raise ArgumentError(
                    f"{name} {shown(value)} is out of range: give 1 to {MAX_SIDE} pixels"
                )

    def factor(self, height: int, width: int, model_scale: int) -> float:
        """Result over image, for an image of `height` × `width`."""
        if self.width is not None:
            return self.width / width
        if self.height is not None:
            return self.height / height
        return model_scale if self.scale is None else self.scale

    def target(self, height: int, width: int, model_scale: int) -> tuple[int, int]:
        """(height, width) of the result for an image of `height` × `width`.

        Raises ArgumentError if it is more than 64 times the image.
        """
        factor = self.factor(height, width, model_scale)
        if factor > MAX_SCALE:
            raise ArgumentError(
                f"the result would be {factor:.0f} times the image of {width}×{height}, and "
                f"{MAX_SCALE} is the most: ask for a smaller width or height"
            )
        return max(1, round(height * factor)), max(1, round(width * factor))

    def passes(self, height: int, width: int, model_scale: int) -> int:
        """How often the network has to be applied for a result no smaller than the target.

        Raises:
            ArgumentError: A model of scale 1 was asked to enlarge.
        """
        target = self.target(height, width, model_scale)
        factor = max(target[0] / height, target[1] / width)
        if model_scale == 1 and factor > 1:
            raise ArgumentError(
                f"this model keeps the image's size (scale 1) and cannot enlarge it {factor:.2f} "
                "times: take a model that enlarges"
            )
        # Rounding the target to whole pixels must not cost another pass.
        return max(1, math.ceil(round(math.log(factor, model_scale), 3))) if factor > 1 else 1


def _is_number(value: object, kind: type, most: int) -> bool:
    """Whether `value` is a number of that kind, above 0 and up to `most`."""
    return isinstance(value, kind) and not isinstance(value, bool) and 0 < value <= most  # type: ignore[operator]
