"""Which value ranges a model has: it is shown a picture in each, and must return that picture."""

from dataclasses import replace
from itertools import product
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends.probe.sizes import Found
from sr_runtime.backends.probe.trial import Trial
from sr_runtime.model_info import ModelInfo, ValueRange
from sr_runtime.tensor import from_range

__all__ = ["find_ranges"]

# Mean differences from the input, where white is 1: up to the first, [0, 1] is right without more
# runs, and beyond the second a range is wrong. Trained networks return the picture within 0.025.
CLEAR, PLAUSIBLE = 0.03, 0.12
# Another range must fit that much better than [0, 1], the usual one. It does for networks of
# [0, 255], by 16 times and more; one of [-1, 1] may return as good a picture in [0, 1].
BETTER = 4

BORDER = 4  # LR pixels, where padding shows


def find_ranges(trial: Trial, found: Found) -> ModelInfo | None:
    """The facts with value ranges; None if no range makes the output a picture of the input.

    Raises BackendError or ExhaustedError if that cannot be measured.
    """
    info, image, output = found
    errors: dict[tuple[ValueRange, ValueRange], float] = {}
    for source in get_args(ValueRange):
        if source != "0..1":
            output = trial.planes(replace(info, input_range=source), image)
        for target in get_args(ValueRange):
            errors[source, target] = _error(from_range(output, target), image, info.scale)
        if errors["0..1", "0..1"] <= CLEAR:
            return info
    source, target = min(product(get_args(ValueRange), repeat=2), key=errors.__getitem__)
    best = errors[source, target]
    if best <= PLAUSIBLE and BETTER * best <= errors["0..1", "0..1"]:
        return replace(info, input_range=source, output_range=target)
    return info if errors["0..1", "0..1"] <= PLAUSIBLE else None


def _error(planes: NDArray[np.float32], image: NDArray[np.float32], scale: int) -> float:
    """The mean difference between an image and its enlarged planes, each cell averaged."""
    channels, rows, columns = planes.shape
    cells = planes.reshape(channels, rows // scale, scale, columns // scale, scale)
    with np.errstate(all="ignore"):
        difference = np.abs(cells.mean((2, 4)) - image.transpose(2, 0, 1))
        if min(difference.shape[1:]) > 4 * BORDER:
            difference = difference[:, BORDER:-BORDER, BORDER:-BORDER]
        error = float(difference.mean())
    return error if np.isfinite(error) else np.inf
