"""The configuration: its documented defaults, and what it refuses."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from sr_runtime.errors import ArgumentError
from sr_train.config.checks import LIMITS, perceptual_layers, value_of
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
from sr_train.models.features import build_features
from sr_train.models.rrdbnet import RRDBNet
from sr_train.network_facts import SCALES

DOCUMENTED = {
    "scale_factor": 4,
    "batch_size": 16,
    "img_channels": 3,
    "pretraining.num_epoch": 10000,
    "pretraining.cr_patch_size": (128, 128),
    "pretraining.lr": 2e-4,
    "pretraining.sched_step": 200000,
    "pretraining.sched_gamma": 0.5,
    "pretraining.train_datasets": ("div2k",),
    "pretraining.val_datasets": ("bsds500",),
    "training.num_epoch": 8000,
    "training.cr_patch_size": (128, 128),
    "training.train_datasets": ("div2k",),
    "training.val_datasets": ("bsds500",),
    "training.g_lr": 1e-4,
    "training.d_lr": 1e-4,
    "training.betas": (0.9, 0.99),
    "training.g_sched_steps": (50000, 100000, 200000, 300000),
    "training.d_sched_steps": (50000, 100000, 200000, 300000),
    "training.g_sched_gamma": 0.5,
    "training.d_sched_gamma": 0.5,
    "training.g_adversarial_loss_scaling": 0.005,
    "training.g_content_loss_scaling": 0.01,
    "generator.rrdb_channels": 64,
    "generator.growth_channels": 32,
    "generator.num_basic_blocks": 16,
    "generator.num_dense_blocks": 3,
    "generator.num_residual_blocks": 5,
    "generator.residual_scaling": 0.2,
    "generator.use_subpixel_conv": False,
    "discriminator.vgg_blk_ch": (64, 64, 128, 128, 256, 256, 512, 512),
    "discriminator.fc_features": (100,),
    "content_loss.loss_f": "l1",
    "perceptual_loss.layer_weights": {"conv5_4": 1.0},
    "perceptual_loss.vgg_type": "vgg19",
    "perceptual_loss.criterion": "l1",
    "perceptual_loss.normalize_input": True,
    "perceptual_loss.normalize_loss": False,
    "perceptual_loss.random_view": False,
    "augmentation.probability": 0.5,
    "augmentation.flip_weight": 0.25,
    "augmentation.transpose_weight": 0.75,
    "augmentation.compression": 0.25,
    "augmentation.coarse_dropout": 0.25,
    "adversarial_loss.type": "ragan",
    "discriminator.type": "vgg",
    "wandb.project": None,
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_defaults_are_the_documented_ones(name: str) -> None:
    assert value_of(Config(), name) == DOCUMENTED[name]


REFUSED: list[tuple[Callable[[], Config], str]] = [
    (lambda: Config(batch_size=0), "batch_size is 0: it must be at least 1"),
    (lambda: Config(scale_factor=5), "scale_factor is 5: it must be one of 1, 2, 3, 4, 8, 16"),
    (lambda: Config(img_channels=4), "img_channels is 4: it must be 3"),
    (lambda: Config(seed=-1), "seed is -1"),
    (lambda: Config(seed=2**63), "seed is 9223372036854775808: it must be from 0 to 2"),
    (lambda: Config(ema_decay=1.0), "ema_decay is 1.0"),
    (lambda: Config(interpolation_alpha=1.5), "interpolation_alpha is 1.5"),
    (lambda: Config(grad_clip=0.0), "grad_clip is 0.0"),
    (lambda: Config(device="cuda:x"), "device is cuda:x: it must be auto, cpu, cuda"),
    (lambda: Config(pretraining=Pretraining(lr=0.0)), "pretraining.lr is 0.0"),
    (lambda: Config(pretraining=Pretraining(lr=float("nan"))), "pretraining.lr is nan"),
    (lambda: Config(pretraining=Pretraining(lr=float("inf"))), "pretraining.lr is inf"),
    (lambda: Config(pretraining=Pretraining(betas=(0.9, 1.0))), r"pretraining.betas is \[0.9, 1"),
    (
        lambda: Config(training=Training(train_datasets=())),
        r"training.train_datasets is \[\]: it must be at least one data set",
    ),
    (
        lambda: Config(training=Training(d_sched_steps=(5, 5))),
        r"training.d_sched_steps is \[5, 5\]: it must be growing numbers",
    ),
    (
        lambda: Config(generator=GeneratorConfig(residual_scaling=0.0)),
        "generator.residual_scaling is 0.0",
    ),
    (
        lambda: Config(discriminator=DiscriminatorConfig(vgg_blk_ch=())),
        r"discriminator.vgg_blk_ch is \[\]",
    ),
    (
        lambda: Config(augmentation=Augmentation(compression=1.01)),
        "augmentation.compression is 1.01: it must be between 0 and 1",
    ),
    (lambda: Config(validation=Validation(every_epochs=0)), "validation.every_epochs is 0"),
    (
        lambda: Config(perceptual_loss=PerceptualLoss(layer_weights={})),
        "perceptual_loss.layer_weights is {}",
    ),
    (
        lambda: Config(perceptual_loss=PerceptualLoss(vgg_type="vgg16")),
        "names conv5_4, which vgg16 has not got: take some of conv1_1, .*conv5_3, or another",
    ),
    (
        lambda: Config(
            perceptual_loss=PerceptualLoss(vgg_type="squeezenet1_1", layer_weights={"fire10": 1.0})
        ),
        "names fire10, which squeezenet1_1 has not got: take some of relu1, fire2.* fire9",
    ),
    (
        lambda: Config(batch_size=16, grad_accumulation=3),
        "batch_size 16 cannot be divided into grad_accumulation 3",
    ),
    (
        lambda: Config(stages="training"),
        "needs a generator to start from: name a checkpoint with init",
    ),
    (
        lambda: Config(pretraining=Pretraining(cr_patch_size=(126, 126))),
        r"pretraining.cr_patch_size is \[126, 126\]: .* multiples of 4, of scale_factor",
    ),
    (
        lambda: Config(pretraining=Pretraining(cr_patch_size=(0, 0))),
        r"pretraining.cr_patch_size is \[0, 0\]",
    ),
    (
        lambda: Config(pretraining=Pretraining(cr_patch_size=(128, 64))),
        r"pretraining.cr_patch_size is \[128, 64\], but transposed crops",
    ),
    (
        lambda: Config(
            pretraining=Pretraining(cr_patch_size=(128, 64)),
            augmentation=Augmentation(symmetry="d4", transpose_weight=0.0),
        ),
        "but transposed crops",
    ),
    (
        lambda: Config(pretraining=Pretraining(cr_patch_size=None), grad_accumulation=2),
        "pretraining.cr_patch_size is null: whole images come one by one",
    ),
    (
        lambda: Config(training=Training(cr_patch_size=(120, 120))),
        r"training.cr_patch_size is \[120, 120\]: .* multiples of 16, the total stride",
    ),
    (
        lambda: Config(training=Training(cr_patch_size=None)),
        "the vgg discriminator takes images of one size",
    ),
    (
        lambda: Config(
            training=Training(cr_patch_size=(100, 100)),
            discriminator=DiscriminatorConfig(type="unet"),
        ),
        "multiples of 8, for the U-Net, as 96 is",
    ),
    (
        lambda: Config(adversarial_loss=AdversarialLoss(type="wgan-gp")),
        "set discriminator.batch_norm to false",
    ),
]


@pytest.mark.parametrize(("make", "sentence"), REFUSED)
def test_what_cannot_be_is_refused_with_the_name_of_the_field(
    make: Callable[[], Config], sentence: str
) -> None:
    with pytest.raises(ArgumentError, match=sentence):
        make()


@pytest.mark.parametrize(
    "options",
    [
        {"pretraining": Pretraining(cr_patch_size=None)},
        {"stages": "training", "init": "a.pth"},
        {
            "pretraining": Pretraining(cr_patch_size=(128, 64)),
            "augmentation": Augmentation(transpose_weight=0.0),
        },
        {
            "pretraining": Pretraining(cr_patch_size=(128, 64)),
            "augmentation": Augmentation(probability=0.0),
        },
        {
            "adversarial_loss": AdversarialLoss(type="wgan-gp"),
            "discriminator": DiscriminatorConfig(batch_norm=False),
        },
        {
            "adversarial_loss": AdversarialLoss(type="wgan-gp"),
            "discriminator": DiscriminatorConfig(type="unet"),
        },
        # What belongs to a stage that is not run, hinders nobody.
        {"stages": "pretraining", "training": Training(cr_patch_size=(100, 60))},
    ],
)
def test_what_can_be_is_accepted(options: dict[str, Any]) -> None:
    Config(**options)


def test_every_number_has_a_limit() -> None:
    limited = {name for _, _, names in LIMITS for name in names.split()}
    limited |= {"pretraining.cr_patch_size", "training.cr_patch_size"}
    for field in fields(Config):
        value = getattr(Config(), field.name)
        inner = fields(value) if is_dataclass(value) else ()
        for name in [f"{field.name}.{f.name}" for f in inner] or [field.name]:
            value = value_of(Config(), name)
            if isinstance(value, int | float | tuple) and not isinstance(value, bool):
                assert name in limited, name


@pytest.mark.parametrize("scale", SCALES)
def test_the_scales_are_those_of_the_network(scale: int) -> None:
    options = {"rrdb_channels": 2, "growth_channels": 2, "num_basic_blocks": 1}
    assert RRDBNet(scale_factor=scale, **options).scale_factor == scale


@pytest.mark.parametrize("vgg_type", ["vgg11", "vgg13", "vgg16", "vgg19", "squeezenet1_1"])
def test_the_layers_are_those_of_the_network(vgg_type: str) -> None:
    layers = perceptual_layers(vgg_type)
    assert set(build_features(vgg_type, layers).tapped.values()) == set(layers)
    with pytest.raises(ArgumentError) as refused:
        build_features(vgg_type, ["other"])
    assert str(refused.value).endswith(f"it has {', '.join(layers)}")
