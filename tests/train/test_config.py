"""The configuration: its documented defaults, and which values it takes."""

from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from sr_runtime.errors import ArgumentError
from sr_train.config.file import read_config, write_config
from sr_train.config.fixed import check_unchanged, fixed_values
from sr_train.config.limits import checked, field_types
from sr_train.config.schema import (
    AdversarialLoss,
    Augmentation,
    Config,
    DiscriminatorConfig,
    Pretraining,
    Training,
)
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
    assert attrgetter(name)(Config()) == DOCUMENTED[name]


def test_values_of_another_type_are_refused_in_python_too() -> None:
    values: dict[str, Any] = {"batch_size": "large"}
    with pytest.raises(ArgumentError, match=r"batch_size is large.* whole number"):
        Config(**values)


def test_values_that_python_gives_are_the_same_after_a_file(tmp_path: Path) -> None:
    values: dict[str, Any] = {"lr": "1e-4", "cr_patch_size": [64, 64], "train_datasets": ["set5"]}
    config = Config(pretraining=Pretraining(**values))
    assert config.pretraining.lr == 1e-4
    assert config.pretraining.cr_patch_size == (64, 64)
    write_config(config, tmp_path / "config.yaml")
    before = fixed_values(read_config(tmp_path / "config.yaml"))
    check_unchanged(config, before, tmp_path)


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
        # A stage that is not run is not checked.
        {"stages": "pretraining", "training": Training(cr_patch_size=(100, 60))},
    ],
)
def test_valid_combinations_are_accepted(options: dict[str, Any]) -> None:
    Config(**options)


@pytest.mark.parametrize("name", field_types(Config))
def test_every_number_has_a_limit(name: str) -> None:
    value = attrgetter(name)(Config())
    below = {int: -1, float: -1.0, tuple: [-1] * len(value) if isinstance(value, tuple) else None}
    if type(value) in below and not (isinstance(value, tuple) and isinstance(value[0], str)):
        with pytest.raises(ArgumentError, match=rf"^{name} is \[?-1"):
            checked(name, below[type(value)], field_types(Config)[name])


@pytest.mark.parametrize("scale", SCALES)
def test_the_network_takes_every_scale(scale: int) -> None:
    options = {"rrdb_channels": 2, "growth_channels": 2, "num_basic_blocks": 1}
    assert RRDBNet(scale_factor=scale, **options).scale_factor == scale
