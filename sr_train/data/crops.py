"""Random crops, each a function of (seed, stage, epoch, position) and nothing else.

So workers need no state, and a run that resumes at any mini-batch sees the crops it would have
seen.
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sr_train.config.schema import Config, Stage
from sr_train.data.augmentation import Augment
from sr_train.data.packed_dataset import PackedImages, in_channels

__all__ = ["Batch", "Key", "TrainingCrops", "random_generator"]

Pixels = NDArray[np.uint8]
Batch = tuple[Tensor, Tensor]
"""LR (N, C, h, w) and HR (N, C, scale·h, scale·w), uint8."""


class Key(NamedTuple):
    """Identifies a crop."""

    epoch: int
    position: int
    """Place in the epoch's order."""
    image: int
    """Index into the images of all data sets, one set after another."""


def random_generator(
    config: Config, stage: Stage, epoch: int, *, stream: int
) -> np.random.Generator:
    """A generator independent of other streams: 0 orders the epoch, 1 + position cuts a crop."""
    return np.random.default_rng((config.seed, stage == "training", epoch, stream))


class TrainingCrops(Dataset[Batch]):
    """A random crop from every training image of a stage."""

    def __init__(self, sets: Sequence[PackedImages], config: Config, stage: Stage) -> None:
        self._sets = sets
        self._ends = list(accumulate(len(images) for images in sets))
        self._config = config
        self._stage: Stage = stage
        self._augment = Augment(config.augmentation, stage)

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, keys: Sequence[Key]) -> Batch:
        """The mini-batch of these crops."""
        lr, hr = zip(*map(self.crop, keys), strict=True)
        return _tensor(lr), _tensor(hr)

    def crop(self, key: Key) -> tuple[Pixels, Pixels]:
        """LR (h, w, C) and HR (scale·h, scale·w, C)."""
        generator = random_generator(self._config, self._stage, key.epoch, stream=1 + key.position)
        lr, hr = self.cut(key.image, generator)
        channels = self._config.img_channels
        return self._augment(in_channels(lr, channels), in_channels(hr, channels), generator)

    def cut(self, image: int, generator: np.random.Generator) -> tuple[Pixels, Pixels]:
        """The same random part of LR and HR, not augmented; whole images without a crop size."""
        which = bisect_right(self._ends, image)
        images = self._sets[which]
        i = image - self._ends[which] + len(images)
        lr, hr = images.lr(i), images.hr(i)
        patch = self._config.section(self._stage).cr_patch_size
        if patch is None:
            return lr, hr
        scale = images.scale
        height, width = patch[0] // scale, patch[1] // scale
        top = int(generator.integers(lr.shape[0] - height + 1))
        left = int(generator.integers(lr.shape[1] - width + 1))
        bottom, right = top + height, left + width
        return (
            lr[top:bottom, left:right],
            hr[scale * top : scale * bottom, scale * left : scale * right],
        )


def _tensor(crops: Sequence[Pixels]) -> Tensor:
    """(h, w, C) crops as (N, C, h, w)."""
    # Stacked by NumPy: PyTorch's threads would compete with those that train.
    height, width, channels = crops[0].shape
    batch = np.empty((len(crops), channels, height, width), np.uint8)
    for planes, crop in zip(batch, crops, strict=True):
        planes[...] = crop.transpose(2, 0, 1)
    return torch.from_numpy(batch)
