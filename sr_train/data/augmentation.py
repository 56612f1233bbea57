"""Random changes of training crops, with Albumentations."""

import os
import random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.errors import require_extra
from sr_train.config.schema import Augmentation, Stage

# Otherwise it asks a server for newer versions whenever it is imported.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
with require_extra("train"):
    import albumentations as A

__all__ = ["Augment"]

Pixels = NDArray[np.uint8]


class Augment:
    """Flips and transposes LR and HR alike; in pretraining it also damages some LR crops.

    Takes gray and RGB crops. Transposing swaps the height and width of a crop.
    """

    def __init__(self, config: Augmentation, stage: Stage) -> None:
        self._symmetry = A.Compose(
            [_symmetry(config)], additional_targets={"hr": "image"}, is_check_shapes=False
        )
        self._damage = A.Compose(
            [
                A.ImageCompression(quality_range=config.jpeg_quality, p=config.compression),
                A.CoarseDropout(
                    num_holes_range=config.dropout_holes,
                    hole_height_range=config.dropout_hole_size,
                    hole_width_range=config.dropout_hole_size,
                    fill=0,
                    p=config.coarse_dropout,
                ),
            ]
        )
        self._damages = stage == "pretraining"

    def __call__(
        self, lr: Pixels, hr: Pixels, generator: np.random.Generator
    ) -> tuple[Pixels, Pixels]:
        """Change a pair of (h, w, C) and (scale·h, scale·w, C) uint8 crops.

        All randomness comes from `generator`: equal generators make equal changes.
        """
        draws = random.Random(int(generator.integers(1 << 63)))
        self._symmetry.set_random_state(generator, draws)
        pair: dict[str, Any] = self._symmetry(image=lr, hr=hr)
        lr, hr = pair["image"], pair["hr"]
        if self._damages:
            self._damage.set_random_state(generator, draws)
            lr = self._damage(image=lr)["image"]
        return lr, hr


def _symmetry(config: Augmentation) -> Any:
    if config.symmetry == "d4":
        return A.D4(p=1)
    # Inside OneOf, p is a weight and not a probability, and yet must not exceed 1.
    weights = config.flip_weight + config.transpose_weight or 1  # 0 if nothing is changed anyway
    flips = A.OneOf(
        [
            A.HorizontalFlip(p=1),
            A.VerticalFlip(p=1),
            A.Sequential([A.HorizontalFlip(p=1), A.VerticalFlip(p=1)], p=1),
        ],
        p=config.flip_weight / weights,
    )
    return A.OneOf([flips, A.Transpose(p=config.transpose_weight / weights)], p=config.probability)
