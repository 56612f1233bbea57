"""From prepared data sets to mini-batches of crops, and to whole images for validation."""

import atexit
import hashlib
import json
import math
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from sr_runtime.errors import ArgumentError
from sr_train.config.schema import Config, Stage
from sr_train.data.crops import (
    Batch,
    Key,
    TrainingCrops,
    in_channels,
    random_generator,
)
from sr_train.data.packed_dataset import PackedImages
from sr_train.data.prepared import prepared
from sr_train.network_facts import UNET_STRIDE

__all__ = [
    "PackedPair",
    "batches_per_epoch",
    "check_data",
    "data_digest",
    "training_loader",
    "validation_pairs",
]

Pixels = NDArray[np.uint8]

# Sides of the smallest image that LPIPS's SqueezeNet takes (SSIM's window has 11), its border off.
MEASURABLE = 17


def batches_per_epoch(config: Config, stage: Stage) -> int:
    """Mini-batches in which every training image has been seen; the last one is filled up."""
    images = sum(len(images) for images in _images(config, stage, "train"))
    return math.ceil(images / _batch_size(config, stage))


def data_digest(config: Config, stage: Stage) -> str:
    """SHA-256 of what a stage trains on: names and checksums of its sets, in their order."""
    facts = [
        (images.name, images.names, images.index.hr.sha256, images.index.lr.sha256)
        for images in _images(config, stage, "train")
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def training_loader(
    config: Config, stage: Stage, *, epoch: int, batch: int, rank: int = 0, world_size: int = 1
) -> DataLoader[Batch]:
    """Mini-batches from number `batch` of epoch `epoch`, both from 0, to the end of the stage.

    Yields LR (N, C, h, w) and HR (N, C, scale·h, scale·w), uint8 and contiguous, where N is this
    rank's share of the mini-batch. Raises ArgumentError if the ranks cannot share it equally.
    """
    size = _batch_size(config, stage)
    if size % world_size:
        raise ArgumentError(
            f"{stage}: a mini-batch of {size} cannot be shared equally by {world_size} "
            "processes: choose a batch_size that they divide, and a cr_patch_size"
        )
    share = size // world_size
    crops = TrainingCrops(_images(config, stage, "train"), config, stage)
    order = _Order(
        config,
        stage,
        images=len(crops),
        epoch=epoch,
        batch=batch,
        share=range(rank * share, (rank + 1) * share),
    )
    return DataLoader(
        crops,
        sampler=order,
        batch_size=None,  # what the sampler gives are whole mini-batches
        num_workers=config.workers,
        worker_init_fn=_ignore_signals,
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
        self, config: Config, stage: Stage, *, images: int, epoch: int, batch: int, share: range
    ) -> None:
        self._config, self._stage = config, stage
        self._images, self._share = images, share
        self._batches = batches_per_epoch(config, stage)
        self._start = epoch * self._batches + batch
        self._stop = config.section(stage).num_epoch * self._batches

    def __len__(self) -> int:
        return max(0, self._stop - self._start)

    def __iter__(self) -> Iterator[list[Key]]:
        size = _batch_size(self._config, self._stage)
        order = None
        for number in range(self._start, self._stop):
            epoch, batch = divmod(number, self._batches)
            if order is None or batch == 0:
                generator = random_generator(self._config, self._stage, epoch, stream=0)
                order = generator.permutation(self._images)
            positions = (batch * size + i for i in self._share)
            yield [Key(epoch, at, int(order[at % self._images])) for at in positions]


@dataclass(frozen=True)
class PackedPair:
    """An image for validation; reads like `sr_runtime.evaluation.pairs.Pair`."""

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

    Not prepared, damaged at first sight, gray where RGB is trained, smaller than the crop, whole
    images that the discriminator cannot judge, too small to be measured, or too few for a step.
    """
    for stage in config.stage_names:
        train, val = _images(config, stage, "train"), _images(config, stage, "val")
        for images in train + val:
            if images.channels < config.img_channels:
                raise ArgumentError(
                    f"{images.name} is gray and img_channels is {config.img_channels}: set "
                    "img_channels to 1, or convert its images to RGB and prepare it again"
                )
        if patch := config.section(stage).cr_patch_size:
            whose = f"{stage}.cr_patch_size"
            _check_least(train, patch, whose, "choose a smaller crop, or remove small images")
        elif stage == "training":  # with a U-Net, as `sr_train.config` demands for whole images
            _check_sizes(
                train,
                lambda height, width: height % UNET_STRIDE == width % UNET_STRIDE == 0,
                f"no multiples of {UNET_STRIDE}, as the U-Net discriminator needs them",
                "choose training.cr_patch_size, or crop such images",
            )
        critic = config.adversarial_loss
        steps = config.section(stage).num_epoch * batches_per_epoch(config, stage)
        if stage == "training" and critic.type in ("wgan", "wgan-gp") and steps < critic.n_critic:
            raise ArgumentError(
                f"training has {steps} mini-batches, and adversarial_loss.n_critic "
                f"{critic.n_critic} come before the generator's first step: take more epochs"
            )
        side = MEASURABLE + 2 * config.scale_factor
        _check_least(val, (side, side), "what SSIM and LPIPS need", "remove small images")


def _check_least(
    sets: Sequence[PackedImages], least: tuple[int, int], whose: str, remedy: str
) -> None:
    _check_sizes(
        sets,
        lambda height, width: height >= least[0] and width >= least[1],
        f"less than {whose}, {least[0]}×{least[1]}",
        remedy,
    )


def _check_sizes(
    sets: Sequence[PackedImages], fits: Callable[[int, int], bool], fault: str, remedy: str
) -> None:
    for images in sets:
        wrong = [i for i in range(len(images)) if not fits(*images.size(i))]
        if wrong:
            (height, width), others = images.size(wrong[0]), len(wrong) - 1
            raise ArgumentError(
                f"{images.names[wrong[0]]} of {images.name} has {height}×{width} pixels, {fault}"
                + (f", and so have {others} more" if others else "")
                + f": {remedy} and prepare the data set again"
            )


def _batch_size(config: Config, stage: Stage) -> int:
    """Whole images differ in size, so each is a mini-batch."""
    return 1 if config.section(stage).cr_patch_size is None else config.batch_size


def _images(config: Config, stage: Stage, purpose: Literal["train", "val"]) -> list[PackedImages]:
    stage_config = config.section(stage)
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


def _ignore_signals(worker: int) -> None:
    """Ctrl-C and job managers reach a whole group; the training process then needs us to go on.

    We are told when it is done, and look every few seconds whether it is still there.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@atexit.register
def _end_workers() -> None:
    """An error that nobody caught holds the loader, and Python would wait for its workers forever,
    having sent them a SIGTERM."""
    if sys.platform != "win32":
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's would complain
    for process in multiprocessing.active_children():
        if process.daemon:
            process.kill()
