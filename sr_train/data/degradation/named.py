"""The degradations that have a name, for measurements on whole images."""

from collections.abc import Callable, Mapping

import numpy as np

from sr_runtime.resize import downscale
from sr_train.config.degradation import MILD, REAL
from sr_train.data.degradation.jpeg import Jpeg
from sr_train.data.degradation.pixels import Pixels
from sr_train.data.degradation.process import degrade

__all__ = ["NAMED"]

NAMED: Mapping[str, Callable[[Pixels, np.random.Generator, int], Pixels]] = {
    "mild": lambda hr, generator, scale: degrade(hr, MILD, generator, scale),
    "real": lambda hr, generator, scale: degrade(hr, REAL, generator, scale),
    "jpeg30": lambda hr, generator, scale: Jpeg(30).compressed(downscale(hr, scale)),
}
"""LR (H/scale, W/scale, C) of HR (H, W, C), uint8; H and W are multiples of the scale."""
