"""Crops that a network of the run cannot take are refused before anything is trained."""

from pathlib import Path

import pytest
from PIL import Image

import sr_train
from sr_runtime.errors import ArgumentError, DataError
from sr_train.checkpoint import save_generator
from sr_train.config.schema import (
    Config,
    DiscriminatorConfig,
    PerceptualLoss,
    Pretraining,
    Training,
)
from sr_train.crop_sizes import check_crops
from sr_train.data.build.prepare import prepare
from sr_train.initial_generator import fresh_generator
from sr_train.models.features import build_features
from sr_train.models.rrdbnet import RRDBNet


def folding() -> RRDBNet:
    return RRDBNet(unshuffle=2, rrdb_channels=8, growth_channels=4, num_basic_blocks=1)


def test_crops_that_the_network_of_init_cannot_fold_are_refused_before_the_run_begins(
    data_root: Path, tmp_path: Path
) -> None:
    save_generator(folding(), tmp_path / "folds.safetensors")
    config = Config(
        stages="pretraining",
        init=str(tmp_path / "folds.safetensors"),
        data_root=str(data_root),
        batch_size=4,
        device="cpu",
        pretraining=Pretraining(
            cr_patch_size=(36, 36), train_datasets=("patches",), val_datasets=("small",)
        ),
    )
    with pytest.raises(ArgumentError, match=r"pretraining.cr_patch_size .*multiples of 8$"):
        sr_train.fit(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def whole_images(data_root: Path, **sizes: tuple[int, int]) -> Config:
    """Both stages on whole images: `pretraining=(132, 128)` prepares one of that height, width."""
    for name, (height, width) in sizes.items():
        folder = data_root.parent / name
        folder.mkdir()
        Image.new("RGB", (width, height)).save(folder / "a.png")
        prepare(folder, root=data_root)
    return Config(
        data_root=str(data_root),
        pretraining=Pretraining(cr_patch_size=None, train_datasets=("pretraining",)),
        training=Training(cr_patch_size=None, train_datasets=("training",)),
        discriminator=DiscriminatorConfig(type="unet"),
        perceptual_loss=PerceptualLoss(
            vgg_type="squeezenet1_1", layer_weights={"fire9": 1.0}, random_view=True
        ),
    )


def test_whole_images_that_the_networks_can_take_are_no_mistake(tmp_path: Path) -> None:
    config = whole_images(tmp_path / "data", pretraining=(136, 128), training=(24, 24))
    check_crops(config, folding(), build_features("squeezenet1_1", ["fire9"]))


def test_whole_images_that_a_network_cannot_take_are_refused(tmp_path: Path) -> None:
    config = whole_images(tmp_path / "data", pretraining=(132, 128), training=(16, 16))
    with pytest.raises(DataError, match=r"^a of .* has 132×128 pixels, not multiples of 8, which"):
        check_crops(config, folding(), None)
    features = build_features("squeezenet1_1", ["fire9"])
    with pytest.raises(
        DataError, match=r"has 16×16 pixels, less than what .*, 20×20: remove small"
    ):
        check_crops(config, fresh_generator(config), features)


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
