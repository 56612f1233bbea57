"""From prepared data sets to mini-batches of crops, and to whole images for validation."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from sr_runtime.errors import ArgumentError
from sr_train.config import Config, Stage
from sr_train.data.crops import Batch, Key, TrainingCrops, in_channels, section, seeded
from sr_train.data.datasets import prepared
from sr_train.data.packed import PackedImages

__all__ = [
    "PackedPair",
    "batches_per_epoch",
    "check_data",
    "training_loader",
    "validation_pairs",
]

Pixels = NDArray[np.uint8]

# How long a worker survives a SIGTERM, which job managers send to the workers too: the training
# process then has time to save.
GRACE_SECONDS = 10

# Sides of the smallest image that LPIPS's SqueezeNet takes (SSIM's window has 11), its border off.
MEASURABLE = 17


def batches_per_epoch(config: Config, stage: Stage) -> int:
    """Mini-batches in which every training image has been seen; the last one is filled up."""
    images = sum(len(images) for images in _images(config, stage, "train"))
    return -(-images // _batch_size(config, stage))


def training_loader(
    config: Config, stage: Stage, *, epoch: int, batch: int, rank: int = 0, world_size: int = 1
) -> DataLoader[Batch]:
    """Mini-batches from number `batch` of epoch `epoch`, both from 0, to the end of the stage.

    Yields LR (N, C, h, w) and HR (N, C, scale·h, scale·w), uint8 and contiguous, where N is this
    rank's share of the mini-batch. Raises ArgumentError if the ranks cannot share it equally.
    """
    crops = TrainingCrops(_images(config, stage, "train"), config, stage)
    return DataLoader(
        crops,
        batch_sampler=_Order(config, stage, len(crops), epoch, batch, rank, world_size),
        collate_fn=_as_it_is,
        num_workers=config.workers,
        worker_init_fn=_outlive_signals,
        pin_memory=config.device != "cpu" and torch.cuda.is_available(),
        # Its own, or it would draw from the one that is saved and restored.
        generator=torch.Generator(),
    )


class _Order(Sampler[list[Key]]):
    """The mini-batches of one rank, as keys: a new permutation of the images every epoch.

    The last mini-batch of an epoch is filled up from the beginning of its permutation; those
    images are seen once more, in other crops.
    """

    def __init__(
        self,
        config: Config,
        stage: Stage,
        images: int,
        epoch: int,
        batch: int,
        rank: int,
        world_size: int,
    ) -> None:
        self._size = _batch_size(config, stage)
        if self._size % world_size:
            raise ArgumentError(
                f"{stage}: a mini-batch of {self._size} cannot be shared equally by {world_size} "
                "processes: choose a batch_size that they divide, and a cr_patch_size"
            )
        self._config, self._stage = config, stage
        self._images = images
        self._batches = -(-images // self._size)
        self._start = epoch * self._batches + batch
        self._stop = section(config, stage).num_epoch * self._batches
        share = self._size // world_size
        self._share = range(rank * share, (rank + 1) * share)

    def __len__(self) -> int:
        return max(0, self._stop - self._start)

    def __iter__(self) -> Iterator[list[Key]]:
        order = None
        for number in range(self._start, self._stop):
            epoch, batch = divmod(number, self._batches)
            if order is None or batch == 0:
                order = seeded(self._config, self._stage, epoch, 0).permutation(self._images)
            positions = (batch * self._size + i for i in self._share)
            yield [Key(epoch, at, int(order[at % self._images])) for at in positions]


@dataclass(frozen=True)
class PackedPair:
    """An image for validation; reads like `sr_runtime.pairs.Pair`."""

    name: str
    images: PackedImages
    index: int
    channels: int

    def read(self, scale: int) -> tuple[Pixels, Pixels]:
        """LR (h, w, C) and HR (scale·h, scale·w, C), copies, in the channels of the networks."""
        if scale != self.images.scale:
            raise ArgumentError(
                f"{self.images.name} is read at a scale of {self.images.scale}: {scale} was asked"
            )
        lr, hr = self.images.lr(self.index), self.images.hr(self.index)
        return in_channels(lr, self.channels).copy(), in_channels(hr, self.channels).copy()


def validation_pairs(config: Config, stage: Stage) -> list[PackedPair]:
    """Every image of the stage's validation sets; of several sets, named by set and image."""
    sets = _images(config, stage, "val")
    return [
        PackedPair(
            f"{images.index.name}_{name}" if len(sets) > 1 else name, images, i, config.img_channels
        )
        for images in sets
        for i, name in enumerate(images.names)
    ]


def check_data(config: Config) -> None:
    """Raise ArgumentError, naming image and remedy, for data on which a stage would fail later.

    Not prepared, damaged at first sight, gray where RGB is trained, smaller than the crop, or too
    small to be measured.
    """
    stages: tuple[Stage, ...] = ("pretraining", "training")
    for stage in (stage for stage in stages if stage in config.stages.split(",")):
        train, val = _images(config, stage, "train"), _images(config, stage, "val")
        for images in train + val:
            if images.channels < config.img_channels:
                raise ArgumentError(
                    f"{images.name} is gray and img_channels is {config.img_channels}: set "
                    "img_channels to 1, or convert its images to RGB and prepare it again"
                )
        if patch := section(config, stage).cr_patch_size:
            _check_sizes(train, patch, f"{stage}.cr_patch_size", "choose a smaller crop, or ")
        side = MEASURABLE + 2 * config.scale_factor
        _check_sizes(val, (side, side), "what SSIM and LPIPS need", "")


def _check_sizes(sets: list[PackedImages], least: tuple[int, int], whose: str, remedy: str) -> None:
    for images in sets:
        sizes = [images.size(i) for i in range(len(images))]
        small = [i for i, (h, w) in enumerate(sizes) if h < least[0] or w < least[1]]
        if small:
            (height, width), others = sizes[small[0]], len(small) - 1
            raise ArgumentError(
                f"{images.names[small[0]]} of {images.name} has {height}×{width} pixels, less than "
                f"{whose}, {least[0]}×{least[1]}"
                + (f", and so have {others} more" if others else "")
                + f": {remedy}remove small images and prepare the data set again"
            )


def _batch_size(config: Config, stage: Stage) -> int:
    """Whole images differ in size, so each is a mini-batch."""
    return 1 if section(config, stage).cr_patch_size is None else config.batch_size


def _images(config: Config, stage: Stage, purpose: Literal["train", "val"]) -> list[PackedImages]:
    stage_config = section(config, stage)
    named = stage_config.train_datasets if purpose == "train" else stage_config.val_datasets
    return [
        images
        for specification in named
        for images in prepared(
            specification,
            root=Path(config.data_root),
            scale=config.scale_factor,
            purpose=purpose,
        )
    ]


def _as_it_is(batch: Any) -> Any:
    return batch


def _outlive_signals(worker: int) -> None:
    """Ctrl-C and SIGTERM often reach a whole group; it is the training process that ends us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(GRACE_SECONDS))
