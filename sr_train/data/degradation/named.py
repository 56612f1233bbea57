"""The degradations that have a name, for measurements on whole images."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from sr_runtime.resize import downscale
from sr_train.config.degradation import MILD, REAL
from sr_train.data.degradation.jpeg import Jpeg
from sr_train.data.degradation.pixels import Pixels
from sr_train.data.degradation.process import degrade

__all__ = ["NAMED", "SETTINGS"]

JPEG_QUALITY = 30

NAMED: Mapping[str, Callable[[Pixels, np.random.Generator, int], Pixels]] = {
    "mild": lambda hr, generator, scale: degrade(hr, MILD, generator, scale),
    "real": lambda hr, generator, scale: degrade(hr, REAL, generator, scale),
    "jpeg30": lambda hr, generator, scale: Jpeg(JPEG_QUALITY).compressed(downscale(hr, scale)),
}
"""LR (H/scale, W/scale, C) of HR (H, W, C), uint8; H and W are multiples of the scale."""

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "mild": asdict(MILD),
    "real": asdict(REAL),
    "jpeg30": {"jpeg_quality": JPEG_QUALITY},
}
"""What the images go through, for files of results."""
