"""Which value ranges a model has: it is shown a picture in each, and must return that picture."""

from dataclasses import replace
from itertools import product
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends.probe.sizes import Found
from sr_runtime.backends.probe.trial import Trial
from sr_runtime.model_info import ModelInfo, ValueRange
from sr_runtime.tensor import from_range

__all__ = ["find_ranges"]

# Mean differences from the input, where white is 1, and those that only 2 % of it exceed: up to
# them a range is certain. Trained networks return the picture within 0.025 and 0.06; one whose
# range is none of ours clips what is bright or dark.
CERTAIN, CERTAIN_WORST = 0.04, 0.1
# Beyond this mean a range is wrong.
PLAUSIBLE = 0.12
# Another range must fit that much better than [0, 1], the usual one. It does for networks of
# [0, 255], by 16 times and more; one of [-1, 1] may return as good a picture in [0, 1].
BETTER = 4

BORDER = 4  # LR pixels, where padding shows


class _Fit(NamedTuple):
    """How far an output is from the input, seen in a pair of ranges."""

    mean: float
    worst: float

    @property
    def is_certain(self) -> bool:
        return self.mean <= CERTAIN and self.worst <= CERTAIN_WORST


def find_ranges(trial: Trial, found: Found) -> tuple[ModelInfo, bool]:
    """The facts with the likeliest value ranges, and whether these are certain.

    Raises BackendError or ExhaustedError if that cannot be measured.
    """
    info, image, output = found
    fits: dict[tuple[ValueRange, ValueRange], _Fit] = {}
    for source in get_args(ValueRange):
        if source != "0..1":
            output = trial.planes(replace(info, input_range=source), image)
        for target in get_args(ValueRange):
            fits[source, target] = _fit(from_range(output, target), image, info.scale)
        if (usual := fits["0..1", "0..1"]).is_certain:
            return info, True
    source, target = min(product(get_args(ValueRange), repeat=2), key=fits.__getitem__)
    best = fits[source, target]
    if best.mean <= PLAUSIBLE and BETTER * best.mean <= usual.mean:
        return replace(info, input_range=source, output_range=target), best.is_certain
    return info, False


def _fit(planes: NDArray[np.float32], image: NDArray[np.float32], scale: int) -> _Fit:
    """The differences between an image and its enlarged planes, each cell averaged."""
    channels, rows, columns = planes.shape
    cells = planes.reshape(channels, rows // scale, scale, columns // scale, scale)
    with np.errstate(all="ignore"):
        difference = np.abs(cells.mean((2, 4)) - image.transpose(2, 0, 1))
        if min(difference.shape[1:]) > 4 * BORDER:
            difference = difference[:, BORDER:-BORDER, BORDER:-BORDER]
        if not np.isfinite(difference).all():
            return _Fit(np.inf, np.inf)
        return _Fit(float(difference.mean()), float(np.quantile(difference, 0.98)))
