"""What can be known to be wrong with a configuration from its values alone.

Nothing here imports torch, which `--help` need not wait for.
"""

import re
from collections.abc import Callable
from functools import reduce
from itertools import pairwise
from math import inf
from typing import TYPE_CHECKING, Any

from sr_runtime.errors import ArgumentError
from sr_train.network_facts import SCALES, UNET_STRIDE, VGG_BLOCKS

if TYPE_CHECKING:
    from sr_train.config.schema import Augmentation, Config

__all__ = ["check_config", "perceptual_layers", "value_of"]

# What a value must be, in words and as a test, and the fields it goes for. NaN fails every test.
LIMITS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    (
        "at least 1",
        lambda value: value >= 1,
        """batch_size grad_accumulation max_skipped_steps log_every save_every
        pretraining.num_epoch pretraining.sched_step training.num_epoch
        generator.rrdb_channels generator.growth_channels generator.num_basic_blocks
        generator.num_dense_blocks generator.num_residual_blocks
        discriminator.unet_channels adversarial_loss.n_critic validation.every_epochs""",
    ),
    (
        "from 0 to 2^63 − 1, which is 9223372036854775807",
        lambda value: 0 <= value < 2**63,
        "seed",
    ),
    (
        "a finite number, 0 or more",
        lambda value: 0 <= value < inf,
        """warmup_steps workers validation.samples training.g_adversarial_loss_scaling
        training.g_content_loss_scaling augmentation.flip_weight augmentation.transpose_weight""",
    ),
    (
        "a finite number above 0",
        lambda value: value is None or 0 < value < inf,
        """grad_clip pretraining.lr training.g_lr training.d_lr adversarial_loss.wgan_clip
        adversarial_loss.gp_weight""",
    ),
    (
        "above 0 and at most 1",
        lambda value: 0 < value <= 1,
        """pretraining.sched_gamma training.g_sched_gamma training.d_sched_gamma
        generator.residual_scaling""",
    ),
    (
        "between 0 and 1",
        lambda value: 0 <= value <= 1,
        """interpolation_alpha augmentation.probability augmentation.compression
        augmentation.coarse_dropout""",
    ),
    ("at least 0 and below 1", lambda value: 0 <= value < 1, "ema_decay"),
    (
        "two numbers, each at least 0 and below 1",
        lambda values: all(0 <= value < 1 for value in values),
        "pretraining.betas training.betas",
    ),
    (
        "two growing numbers from 1 to 100",
        lambda pair: 1 <= pair[0] <= pair[1] <= 100,
        "augmentation.jpeg_quality",
    ),
    (
        "two growing numbers, the first at least 1",
        lambda pair: 1 <= pair[0] <= pair[1],
        "augmentation.dropout_holes",
    ),
    (
        "two growing numbers above 0 and at most 1",
        lambda pair: 0 < pair[0] <= pair[1] <= 1,
        "augmentation.dropout_hole_size",
    ),
    (
        "at least one data set",
        bool,
        """pretraining.train_datasets pretraining.val_datasets training.train_datasets
        training.val_datasets""",
    ),
    (
        "one or more numbers, each at least 1",
        lambda values: min(values, default=0) >= 1,
        "discriminator.vgg_blk_ch",
    ),
    (
        "numbers that are at least 1",
        lambda values: min(values, default=1) >= 1,
        "discriminator.fc_features",
    ),
    (
        "growing numbers, the first at least 1",
        lambda values: all(a < b for a, b in pairwise((0, *values))),
        "training.g_sched_steps training.d_sched_steps",
    ),
    (
        "layers, each with a weight above 0",
        lambda layers: bool(layers) and all(0 < weight < inf for weight in layers.values()),
        "perceptual_loss.layer_weights",
    ),
    ("one of " + ", ".join(map(str, SCALES)), SCALES.__contains__, "scale_factor"),
    ("3 (RGB) or 1 (gray)", (1, 3).__contains__, "img_channels"),
    (
        "auto, cpu, cuda or cuda:N",
        lambda device: bool(re.fullmatch(r"auto|cpu|cuda(:\d+)?", device)),
        "device",
    ),
)


def check_config(config: "Config") -> None:
    """Raise ArgumentError, with the field's full name, for the first value that cannot be."""
    for words, holds, names in LIMITS:
        for name in names.split():
            if not holds(value := value_of(config, name)):
                raise ArgumentError(f"{name} is {_text(value)}: it must be {words}")
    _check_layers(config)
    _check_symmetry(config.augmentation)
    for stage in config.stage_names:
        _check_crops(config, stage)
    if "training" in config.stage_names:
        _check_adversaries(config)
    if config.stages == "training" and config.init is None:
        raise ArgumentError(
            "stages is training alone, which needs a generator to start from: name a checkpoint "
            "with init, or run pretraining first with stages pretraining,training"
        )
    if config.batch_size % config.grad_accumulation:
        raise ArgumentError(
            f"batch_size {config.batch_size} cannot be divided into grad_accumulation "
            f"{config.grad_accumulation} equal parts: change either"
        )


def value_of(config: "Config", name: str) -> Any:
    """The field with this dotted name."""
    return reduce(getattr, name.split("."), config)


def perceptual_layers(vgg_type: str) -> tuple[str, ...]:
    """Names of the layers whose features a perceptual loss can compare."""
    if vgg_type == "squeezenet1_1":
        return "relu1", *(f"fire{i}" for i in range(2, 10))
    blocks = enumerate(VGG_BLOCKS[vgg_type], start=1)
    return tuple(f"conv{i}_{k}" for i, count in blocks for k in range(1, count + 1))


def _check_layers(config: "Config") -> None:
    vgg_type = config.perceptual_loss.vgg_type
    layers = perceptual_layers(vgg_type)
    for layer in config.perceptual_loss.layer_weights:
        if layer not in layers:
            raise ArgumentError(
                f"perceptual_loss.layer_weights names {layer}, which {vgg_type} has not got: "
                f"take some of {', '.join(layers)}, or another perceptual_loss.vgg_type"
            )


def _check_symmetry(augmentation: "Augmentation") -> None:
    chosen = augmentation.symmetry == "flip_or_transpose" and augmentation.probability > 0
    if chosen and not augmentation.flip_weight + augmentation.transpose_weight:
        raise ArgumentError(
            "augmentation.flip_weight and augmentation.transpose_weight are both 0: give one of "
            "them a weight, or set augmentation.probability to 0"
        )


def _check_crops(config: "Config", stage: str) -> None:
    name = f"{stage}.cr_patch_size"
    crop = value_of(config, name)
    if crop is None:
        if config.grad_accumulation > 1:
            raise ArgumentError(
                f"{name} is null: whole images come one by one, and cannot be divided into "
                f"grad_accumulation {config.grad_accumulation} parts: set it to 1"
            )
        return
    _check_multiple(name, crop, config.scale_factor, "of scale_factor")
    augmentation = config.augmentation
    transposes = augmentation.symmetry == "d4" or (
        augmentation.probability > 0 and augmentation.transpose_weight > 0
    )
    if transposes and crop[0] != crop[1]:
        raise ArgumentError(
            f"{name} is {_text(crop)}, but transposed crops must fit the others: take a square, or "
            "augmentation.symmetry flip_or_transpose with augmentation.transpose_weight 0"
        )


def _check_adversaries(config: "Config") -> None:
    if config.adversarial_loss.type == "wgan-gp" and config.compile:
        raise ArgumentError(
            "adversarial_loss.type is wgan-gp, whose gradient penalty torch.compile cannot "
            "differentiate twice: set compile to false"
        )
    discriminator, crop = config.discriminator, config.training.cr_patch_size
    if discriminator.type == "unet":
        if crop is not None:
            _check_multiple("training.cr_patch_size", crop, UNET_STRIDE, "for the U-Net")
        return
    if crop is None:
        raise ArgumentError(
            "training.cr_patch_size is null, but the vgg discriminator takes images of one size: "
            "give a size, or set discriminator.type to unet"
        )
    halvings = sum(a == b for a, b in pairwise(discriminator.vgg_blk_ch))
    _check_multiple(
        "training.cr_patch_size", crop, 2**halvings, "the total stride of discriminator.vgg_blk_ch"
    )
    if config.adversarial_loss.type == "wgan-gp" and discriminator.batch_norm:
        raise ArgumentError(
            "adversarial_loss.type is wgan-gp, whose gradient penalty is of each image alone, but "
            "batch normalisation mixes them: set discriminator.batch_norm to false"
        )


def _check_multiple(name: str, crop: tuple[int, int], factor: int, why: str) -> None:
    if min(crop) < 1 or any(side % factor for side in crop):
        raise ArgumentError(
            f"{name} is {_text(crop)}: height and width must be multiples of {factor}, {why}, "
            f"as {factor * max(1, round(crop[0] / factor))} is"
        )


def _text(value: object) -> str:
    """As a configuration file has it."""
    return str(list(value) if isinstance(value, tuple) else value)
