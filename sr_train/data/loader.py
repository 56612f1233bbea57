"""Training mini-batches: random crops, the share of each rank, and worker processes.

A crop is a function of (seed, stage, epoch, position) and nothing else. So workers need no state,
and a run that resumes at any mini-batch sees the crops it would have seen.
"""

import atexit
import signal
import weakref
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from sr_runtime.errors import ArgumentError, require_extra
from sr_runtime.signals import ENDING
from sr_train.config.schema import Config, Stage
from sr_train.data.augmentation import Augment
from sr_train.data.degradation.crops import Crop, degraded
from sr_train.data.packed_dataset import PackedImages, in_channels
from sr_train.data.stage_data import batch_size, stage_images, stage_steps

with require_extra("train"):
    import cv2

__all__ = ["Key", "TrainingCrops", "training_loader"]

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


def training_loader(
    config: Config, stage: Stage, *, batch: int, rank: int = 0, world_size: int = 1
) -> DataLoader[Batch]:
    """The mini-batches of the stage from number `batch`, counted from 0, to the last.

    Yields LR (N, C, h, w) and HR (N, C, scale·h, scale·w), uint8 and contiguous, where N is this
    rank's share of the mini-batch. Raises ArgumentError if the ranks cannot share it equally.
    """
    size, parts = batch_size(config, stage), config.grad_accumulation
    if size % (world_size * parts):
        each = f", in {parts} parts each" if parts > 1 else ""
        raise ArgumentError(
            f"{stage}: a mini-batch of {size} cannot be shared equally by {world_size} processes"
            f"{each}: set cr_patch_size, and batch_size to a multiple of {world_size * parts}"
        )
    share = size // world_size
    crops = TrainingCrops(stage_images(config, stage, "train"), config, stage)
    order = _Order(
        config,
        stage,
        images=len(crops),
        batch=batch,
        share=range(rank * share, (rank + 1) * share),
    )
    return _Loader(
        crops,
        sampler=order,
        batch_size=None,  # the sampler yields whole mini-batches
        num_workers=config.workers,
        worker_init_fn=_start_worker,
        pin_memory=config.device != "cpu" and torch.cuda.is_available(),
        # By default it would draw from the global generator, which a run saves and restores.
        generator=torch.Generator(),
    )


class _Order(Sampler[list[Key]]):
    """The mini-batches of one rank, as keys: a new permutation of the images every epoch.

    The last mini-batch of an epoch is filled up from the beginning of its permutation; those
    images come twice, in different crops.
    """

    def __init__(
        self, config: Config, stage: Stage, *, images: int, batch: int, share: range
    ) -> None:
        self._config, self._stage = config, stage
        self._images, self._share = images, share
        steps = stage_steps(config, stage)
        self._start, self._stop, self._per_epoch = batch, steps.total, steps.per_epoch

    def __len__(self) -> int:
        return max(0, self._stop - self._start)

    def __iter__(self) -> Iterator[list[Key]]:
        size = batch_size(self._config, self._stage)
        order = None
        for number in range(self._start, self._stop):
            epoch, batch = divmod(number, self._per_epoch)
            if order is None or batch == 0:
                generator = _random_generator(self._config, self._stage, epoch, stream=0)
                order = generator.permutation(self._images)
            positions = (batch * size + i for i in self._share)
            yield [Key(epoch, at, int(order[at % self._images])) for at in positions]


class _Loader(DataLoader[Batch]):
    """A DataLoader whose workers end with the program, even where an error keeps it alive.

    The traceback of an uncaught error holds the iterator, so that PyTorch never shuts the workers
    down. Python then sends them SIGTERM at exit, which they ignore, and waits for them forever.
    """

    def __iter__(self) -> Any:
        iterator = super().__iter__()
        if self.num_workers:
            # Functions registered later run earlier: this one before Python's and PyTorch's.
            atexit.register(_end_workers, weakref.ref(iterator))
        return iterator


def _end_workers(reference: "weakref.ref[Any]") -> None:
    iterator = reference()
    if iterator is not None:
        iterator._shutdown_workers()
        for worker in iterator._workers:  # one that hangs has ignored PyTorch's SIGTERM
            worker.kill()


def _start_worker(worker: int) -> None:
    """Compute on one thread, and let the training process alone decide how to end.

    OpenCV's threads do not survive a fork, and each worker has a core of its own at best.
    Ctrl-C and job managers signal the whole group, and the training process still needs its
    workers to finish a step. They end when it shuts them down, or when they see that it is gone.
    """
    cv2.setNumThreads(0)
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


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
        crops = [self.crop(key) for key in keys]
        return _tensor([crop.lr for crop in crops]), _tensor([crop.hr for crop in crops])

    def crop(self, key: Key) -> Crop:
        """The crop, augmented and degraded."""
        generator = _random_generator(self._config, self._stage, key.epoch, stream=1 + key.position)
        lr, hr = self.cut(key.image, generator)
        channels = self._config.img_channels
        lr, hr = self._augment(in_channels(lr, channels), in_channels(hr, channels), generator)
        return degraded(lr, hr, self._config.degradation, generator)

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
    # Stacked by NumPy: PyTorch's threads would compete with the training's.
    height, width, channels = crops[0].shape
    batch = np.empty((len(crops), channels, height, width), np.uint8)
    for planes, crop in zip(batch, crops, strict=True):
        planes[...] = crop.transpose(2, 0, 1)
    return torch.from_numpy(batch)


def _random_generator(
    config: Config, stage: Stage, epoch: int, *, stream: int
) -> np.random.Generator:
    """A generator independent of other streams: 0 orders the epoch, 1 + position cuts a crop."""
    return np.random.default_rng((config.seed, stage == "training", epoch, stream))
