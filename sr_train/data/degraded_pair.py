"""Images of a data set with an LR that is degraded as the photos of users are."""

import hashlib
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError
from sr_runtime.evaluation.scoring import ImagePair
from sr_train.config.degradation import DegradationName
from sr_train.data.degradation.named import degraded_lr

__all__ = ["DegradedPair"]


@dataclass(frozen=True)
class DegradedPair:
    """The HR image of `pair`, and an LR that is made from it by a degradation that has a name.

    The LR depends on the seed, the image and its name in `pair`, but not on the other images.
    """

    name: str
    pair: ImagePair
    degradation: DegradationName
    seed: int = 0

    def read(self, scale: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """LR `(h, w, C)` and HR `(scale·h, scale·w, C)`, uint8.

        Raises ArgumentError for an HR image of 16 bits or with transparency.
        """
        hr = self.read_hr(scale)
        if hr.dtype != np.uint8:
            raise ArgumentError("it has 16 bits a channel, and --degrade takes 8: convert it")
        if hr.shape[2] not in (1, 3):
            raise ArgumentError("--degrade takes no transparent images: remove its transparency")
        of_name = hashlib.sha256(os.fsencode(self.pair.name)).digest()
        generator = np.random.default_rng([self.seed, int.from_bytes(of_name)])
        return degraded_lr(hr, self.degradation, generator, scale), hr

    def read_hr(self, scale: int) -> NDArray[Any]:
        """HR alone."""
        return self.pair.read_hr(scale)
