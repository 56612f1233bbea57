"""Configurations that are refused: each with its field, its value and the limit."""

from collections.abc import Callable
from typing import Any

import pytest

from sr_runtime.errors import ArgumentError
from sr_train.config.schema import (
    AdversarialLoss,
    Augmentation,
    Config,
    DiscriminatorConfig,
    GeneratorConfig,
    PerceptualLoss,
    Pretraining,
    Training,
    Validation,
)

SCHEDULE_FREE: Any = {"optimizer": "schedule_free", "schedule": "constant"}

# What makes the configuration, and what its refusal must name: the field, its value, the limit.
REFUSED: list[tuple[Callable[[], Config], list[str]]] = [
    (lambda: Config(batch_size=0), ["batch_size", "0", "from 1 to 65536"]),
    (lambda: Config(batch_size=1_000_000), ["batch_size", "1000000", "from 1 to 65536"]),
    (lambda: Config(scale_factor=5), ["scale_factor", "5", "1, 2, 3, 4, 8, 16"]),
    (lambda: Config(img_channels=4), ["img_channels", "4", "1 or 3"]),
    (lambda: Config(seed=-1), ["seed", "-1", "0"]),
    (lambda: Config(seed=2**63), ["seed", "9223372036854775808", "9223372036854775807"]),
    (lambda: Config(ema_decay=1.0), ["ema_decay", "1.0", "below 1"]),
    (lambda: Config(interpolation_alpha=1.5), ["interpolation_alpha", "1.5", "from 0 to 1"]),
    (lambda: Config(grad_clip=0.0), ["grad_clip", "0.0", "above 0"]),
    (lambda: Config(device="cuda:x"), ["device", "cuda:x", "auto, cpu, cuda"]),
    (lambda: Config(pretraining=Pretraining(lr=0.0)), ["pretraining.lr", "0.0", "above 0"]),
    (lambda: Config(pretraining=Pretraining(lr=float("nan"))), ["pretraining.lr", "NaN"]),
    (lambda: Config(pretraining=Pretraining(lr=float("inf"))), ["pretraining.lr", "Infinity"]),
    (
        lambda: Config(pretraining=Pretraining(betas=(0.9, 1.0))),
        ["pretraining.betas", "[0.9, 1.0]", "below 1"],
    ),
    (
        lambda: Config(pretraining=Pretraining(schedule="cosin")),  # type: ignore[arg-type]
        ["pretraining.schedule", "cosin", "'step', 'linear', 'cosine', 'constant'"],
    ),
    (
        lambda: Config(pretraining=Pretraining(optimizer="schedule_free", schedule="cosine")),
        ["pretraining.optimizer", "pretraining.schedule is cosine", "set it to constant"],
    ),
    (
        lambda: Config(training=Training(optimizer="schedule_free")),
        ["training.optimizer", "training.schedule is step", "set it to constant"],
    ),
    (
        lambda: Config(
            pretraining=Pretraining(**SCHEDULE_FREE, betas=(0, 0.99)),
        ),
        ["pretraining.betas", "0", "0.9"],
    ),
    (
        lambda: Config(
            training=Training(**SCHEDULE_FREE), adversarial_loss=AdversarialLoss(type="wgan")
        ),
        ["training.optimizer", "schedule_free", "wgan", "RMSProp"],
    ),
    (
        lambda: Config(training=Training(train_datasets=())),
        ["training.train_datasets", "[]", "not empty"],
    ),
    (
        lambda: Config(training=Training(d_sched_steps=(5, 5))),
        ["training.d_sched_steps", "[5, 5]", "ascending"],
    ),
    (
        lambda: Config(training=Training(g_sched_steps=(0, 5))),
        ["training.g_sched_steps", "[0, 5]", "at least 1"],
    ),
    (
        lambda: Config(generator=GeneratorConfig(residual_scaling=0.0)),
        ["generator.residual_scaling", "0.0", "above 0"],
    ),
    (
        lambda: Config(discriminator=DiscriminatorConfig(vgg_blk_ch=())),
        ["discriminator.vgg_blk_ch", "[]", "not empty"],
    ),
    (
        lambda: Config(augmentation=Augmentation(compression=1.01)),
        ["augmentation.compression", "1.01", "from 0 to 1"],
    ),
    (
        lambda: Config(augmentation=Augmentation(jpeg_quality=(95, 60))),
        ["augmentation.jpeg_quality", "[95, 60]", "smaller first"],
    ),
    (
        lambda: Config(augmentation=Augmentation(flip_weight=0.0, transpose_weight=0.0)),
        ["augmentation.flip_weight", "augmentation.transpose_weight", "0", "probability"],
    ),
    (
        lambda: Config(validation=Validation(every_epochs=0)),
        ["validation.every_epochs", "0", "at least 1"],
    ),
    (
        lambda: Config(perceptual_loss=PerceptualLoss(layer_weights={})),
        ["perceptual_loss.layer_weights", "{}", "not empty"],
    ),
    (
        lambda: Config(perceptual_loss=PerceptualLoss(layer_weights={"conv1_1": 0.0})),
        ["perceptual_loss.layer_weights", "{conv1_1: 0.0}", "above 0"],
    ),
    (
        lambda: Config(perceptual_loss=PerceptualLoss(vgg_type="vgg16")),
        ["layer_weights", "conv5_4", "vgg16", "conv1_1, ", "conv5_3, or", "vgg_type"],
    ),
    (
        lambda: Config(
            perceptual_loss=PerceptualLoss(vgg_type="squeezenet1_1", layer_weights={"fire10": 1.0})
        ),
        ["layer_weights", "fire10", "squeezenet1_1", "relu1, fire2, ", "fire9, or"],
    ),
    (
        lambda: Config(batch_size=16, grad_accumulation=3),
        ["batch_size", "16", "grad_accumulation", "3"],
    ),
    (
        lambda: Config(stages="training"),
        ["stages", "training", "init", "null", "pretraining,training"],
    ),
    (
        lambda: Config(pretraining=Pretraining(cr_patch_size=(126, 126))),
        ["pretraining.cr_patch_size", "[126, 126]", "multiples of 4", "scale_factor 4", "128"],
    ),
    (
        lambda: Config(pretraining=Pretraining(cr_patch_size=(0, 0))),
        ["pretraining.cr_patch_size", "[0, 0]", "at least 1"],
    ),
    (
        lambda: Config(pretraining=Pretraining(cr_patch_size=(128, 64))),
        ["pretraining.cr_patch_size", "[128, 64]", "square", "augmentation.transpose_weight"],
    ),
    (
        lambda: Config(
            pretraining=Pretraining(cr_patch_size=(128, 64)),
            augmentation=Augmentation(symmetry="d4", transpose_weight=0.0),
        ),
        ["pretraining.cr_patch_size", "[128, 64]", "square", "augmentation.symmetry"],
    ),
    (
        lambda: Config(pretraining=Pretraining(cr_patch_size=None), grad_accumulation=2),
        ["pretraining.cr_patch_size", "null", "grad_accumulation is 2", "set it to 1"],
    ),
    (
        lambda: Config(training=Training(cr_patch_size=(120, 120))),
        ["training.cr_patch_size", "[120, 120]", "multiples of 16", "vgg", "128"],
    ),
    (
        # The nearest size that fits the scale, 102, does not fit the discriminator.
        lambda: Config(
            scale_factor=3,
            pretraining=Pretraining(cr_patch_size=(96, 96)),
            training=Training(cr_patch_size=(100, 100)),
        ),
        ["training.cr_patch_size", "[100, 100]", "multiples of 48", "scale_factor 3", "16", "96"],
    ),
    (
        lambda: Config(training=Training(cr_patch_size=None)),
        ["training.cr_patch_size", "null", "vgg", "discriminator.type to unet"],
    ),
    (
        lambda: Config(
            training=Training(cr_patch_size=(100, 100)),
            discriminator=DiscriminatorConfig(type="unet"),
        ),
        ["training.cr_patch_size", "[100, 100]", "multiples of 8", "unet", "96"],
    ),
    (
        lambda: Config(adversarial_loss=AdversarialLoss(type="wgan-gp")),
        ["adversarial_loss.type", "wgan-gp", "discriminator.batch_norm to false"],
    ),
    (
        lambda: Config(
            adversarial_loss=AdversarialLoss(type="wgan-gp"),
            discriminator=DiscriminatorConfig(batch_norm=False),
            compile=True,
        ),
        ["adversarial_loss.type", "wgan-gp", "compile to false"],
    ),
]


@pytest.mark.parametrize(("make", "facts"), REFUSED)
def test_invalid_values_are_refused_with_the_field_its_value_and_the_limit(
    make: Callable[[], Config], facts: list[str]
) -> None:
    with pytest.raises(ArgumentError) as refused:
        make()
    said = str(refused.value)
    assert [fact for fact in facts if fact not in said] == [], said
