"""Crops that a network of the run cannot take are refused before anything is trained."""

from pathlib import Path

import pytest

import sr_train
from sr_runtime.errors import ArgumentError
from sr_train.checkpoint import save_generator
from sr_train.config.schema import (
    Config,
    DiscriminatorConfig,
    PerceptualLoss,
    Pretraining,
    Training,
)
from sr_train.crop_sizes import check_crops
from sr_train.initial_generator import fresh_generator
from sr_train.models.features import build_features
from sr_train.models.rrdbnet import RRDBNet


@pytest.mark.parametrize("size", [(36, 36), None])
def test_crops_that_the_network_of_init_cannot_fold_are_refused_before_the_run_begins(
    size: tuple[int, int] | None, data_root: Path, tmp_path: Path
) -> None:
    folds = RRDBNet(unshuffle=2, rrdb_channels=8, growth_channels=4, num_basic_blocks=1)
    save_generator(folds, tmp_path / "folds.safetensors")
    config = Config(
        stages="pretraining",
        init=str(tmp_path / "folds.safetensors"),
        data_root=str(data_root),
        batch_size=4,
        device="cpu",
        pretraining=Pretraining(
            cr_patch_size=size, train_datasets=("patches",), val_datasets=("small",)
        ),
    )
    with pytest.raises(ArgumentError, match=r"pretraining.cr_patch_size .*multiples of 8$"):
        sr_train.fit(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("view", "least"), [(False, 17), (True, 20)])
def test_crops_too_small_for_the_perceptual_loss_are_refused(view: bool, least: int) -> None:
    features = build_features("squeezenet1_1", ["fire9"])

    def check(side: int) -> None:
        config = Config(
            training=Training(cr_patch_size=(side, side)),
            discriminator=DiscriminatorConfig(type="unet"),
            perceptual_loss=PerceptualLoss(
                vgg_type="squeezenet1_1", layer_weights={"fire9": 1.0}, random_view=view
            ),
        )
        check_crops(config, fresh_generator(config), features)

    check(24)
    with pytest.raises(ArgumentError, match=rf"\[16, 16\].* {least}×{least} pixels or more"):
        check(16)
