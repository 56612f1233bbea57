"""The data sets that a stage of the configuration names: their size, identity and checks."""

import hashlib
import json
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sr_runtime.errors import ArgumentError, DataError
from sr_runtime.evaluation.scoring import ImagePair
from sr_train.config.schema import Config, Stage
from sr_train.data.degraded_pair import DegradedPair
from sr_train.data.packed_dataset import PackedImages, PackedPair
from sr_train.data.prepared import prepared
from sr_train.network_facts import UNET_STRIDE

__all__ = [
    "StageSteps",
    "batch_size",
    "check_data",
    "check_minimum",
    "check_sizes",
    "data_digest",
    "stage_images",
    "stage_steps",
    "validation_pairs",
]

# The smallest side that LPIPS's SqueezeNet takes, after `scale` pixels are cropped from each border
# (SSIM's window needs 11).
MEASURABLE = 17


def stage_images(
    config: Config, stage: Stage, purpose: Literal["train", "val"]
) -> list[PackedImages]:
    """The prepared splits that a stage trains on or validates with, in the configured order."""
    section = config.section(stage)
    return [
        images
        for specification in (
            section.train_datasets if purpose == "train" else section.val_datasets
        )
        for images in prepared(
            specification, root=Path(config.data_root), scale=config.scale_factor, purpose=purpose
        )
    ]


def batch_size(config: Config, stage: Stage) -> int:
    """Images per mini-batch: 1 where the stage trains on whole images, which differ in size."""
    return 1 if config.section(stage).cr_patch_size is None else config.batch_size


@dataclass(frozen=True, kw_only=True)
class StageSteps:
    """Lengths in a stage, in mini-batches."""

    per_epoch: int
    """Those that show every training image once; the last one is filled up."""
    total: int
    """Those of the whole stage."""
    between_validations: int


def stage_steps(config: Config, stage: Stage) -> StageSteps:
    """The lengths that the configuration gives in epochs or in mini-batches."""
    images = sum(len(images) for images in stage_images(config, stage, "train"))
    per_epoch = math.ceil(images / batch_size(config, stage))

    def steps(epochs: int | None, steps: int | None) -> int:
        return steps or (epochs or 0) * per_epoch  # one of them is given

    section, validation = config.section(stage), config.validation
    return StageSteps(
        per_epoch=per_epoch,
        total=steps(section.num_epoch, section.num_steps),
        between_validations=steps(validation.every_epochs, validation.every_steps),
    )


def data_digest(config: Config, stage: Stage, purpose: Literal["train", "val"]) -> str:
    """SHA-256 of the names and checksums of a stage's sets, in their order."""
    facts = [
        (images.name, images.names, images.index.hr.sha256, images.index.lr.sha256)
        for images in stage_images(config, stage, purpose)
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def validation_pairs(config: Config, stage: Stage) -> Sequence[ImagePair]:
    """Every image of the stage's validation sets, degraded if so configured.

    Its name is the image's, with the data set's in front if there are several sets.
    """
    sets = stage_images(config, stage, "val")
    degradation = config.validation.degradation
    pairs: list[ImagePair] = []
    for images in sets:
        for i, name in enumerate(images.names):
            title = f"{images.index.name}_{name}" if len(sets) > 1 else name
            pair = PackedPair(name, images, i, config.img_channels)
            pairs.append(
                replace(pair, name=title)
                if degradation is None
                else DegradedPair(title, pair, degradation)
            )
    return pairs


def check_data(config: Config) -> None:
    """Check, before training, everything in the data that would make a stage fail later.

    Raises:
        ArgumentError: A data set is not prepared, or there are too few mini-batches for a step.
        DataError: A split is damaged or gray where RGB is trained; or an image is smaller than the
            crop, too small to be measured, or, if used whole, of a size that the U-Net cannot take.
    """
    for stage in config.stage_names:
        train, val = stage_images(config, stage, "train"), stage_images(config, stage, "val")
        if seen := {b.name for a in train for b in val if a.overlaps(b)}:
            warnings.warn(
                f"{stage} trains on {', '.join(sorted(seen))} and validates on the same images, so "
                "that overfitting does not show: prepare your images with --hold-out 0.2, or name "
                f"another data set in {stage}.val_datasets",
                RuntimeWarning,
                stacklevel=2,
            )
        for images in train + val:
            if images.channels < config.img_channels:
                raise DataError(
                    f"{images.name} is gray and img_channels is {config.img_channels}: set "
                    "img_channels to 1, or convert its images to RGB and prepare it again"
                )
        if patch := config.section(stage).cr_patch_size:
            check_minimum(
                train,
                patch,
                f"{stage}.cr_patch_size",
                "choose a smaller crop, or remove small images",
            )
        elif stage == "training":  # `sr_train.config` allows whole images only with a U-Net
            check_sizes(
                train,
                lambda height, width: height % UNET_STRIDE == width % UNET_STRIDE == 0,
                f"not multiples of {UNET_STRIDE}, which the U-Net discriminator needs",
                "choose training.cr_patch_size, or crop such images",
            )
        critic = config.adversarial_loss
        steps = stage_steps(config, stage).total
        if stage == "training" and critic.type in ("wgan", "wgan-gp") and steps < critic.n_critic:
            raise ArgumentError(
                f"training has {steps} mini-batches, and the generator's first step comes after "
                f"adversarial_loss.n_critic = {critic.n_critic} of them: make it longer"
            )
        side = MEASURABLE + 2 * config.scale_factor
        check_minimum(val, (side, side), "what SSIM and LPIPS need", "remove small images")


def check_minimum(
    sets: Sequence[PackedImages], minimum: tuple[int, int], of: str, remedy: str
) -> None:
    """Raise DataError, with `remedy`, if an HR image is smaller than the `minimum` (height, width)
    of something.
    """
    check_sizes(
        sets,
        lambda height, width: height >= minimum[0] and width >= minimum[1],
        f"less than {of}, {minimum[0]}×{minimum[1]}",
        remedy,
    )


def check_sizes(
    sets: Sequence[PackedImages], fits: Callable[[int, int], bool], fault: str, remedy: str
) -> None:
    """Raise DataError, with `fault` and `remedy`, if an HR image has a size that does not fit."""
    for images in sets:
        wrong = [i for i in range(len(images)) if not fits(*images.size(i))]
        if wrong:
            (height, width), others = images.size(wrong[0]), len(wrong) - 1
            raise DataError(
                f"{images.names[wrong[0]]} of {images.name} has {height}×{width} pixels, {fault}"
                + (f" ({others} more images are affected)" if others else "")
                + f": {remedy} and prepare the data set again"
            )
