"""The degradations that have a name, for measurements on whole images."""

from collections.abc import Mapping

import numpy as np

from sr_runtime.resize import downscale
from sr_train.config.degradation import MILD, REAL, DegradationName, DegradationProcess
from sr_train.data.degradation.jpeg import Jpeg
from sr_train.data.degradation.pixels import Pixels
from sr_train.data.degradation.process import degrade

__all__ = ["NAMED", "degraded_lr"]

NAMED: Mapping[DegradationName, DegradationProcess | Jpeg] = {
    "mild": MILD,
    "real": REAL,
    "jpeg30": Jpeg(30),
}
"""JPEG alone follows MATLAB's bicubic."""


def degraded_lr(
    hr: Pixels, name: DegradationName, generator: np.random.Generator, scale: int
) -> Pixels:
    """LR (H/scale, W/scale, C) of HR (H, W, C), uint8; H and W are multiples of the scale."""
    degradation = NAMED[name]
    if isinstance(degradation, Jpeg):
        return degradation.compressed(downscale(hr, scale))
    return degrade(hr, degradation, generator, scale)
