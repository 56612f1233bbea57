"""The data sets of a stage: checks before training, the digest, and validation images."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr_runtime.errors import ArgumentError, DataError, SRError
from sr_train.config.schema import AdversarialLoss, Training
from sr_train.data.build.prepare import prepare
from sr_train.data.degraded_pair import DegradedPair
from sr_train.data.prepared import prepared
from sr_train.data.stage_data import check_data, data_digest, validation_pairs
from tests.train.made_images import save_folder
from tests.train.training_sets import batches, config


@pytest.mark.parametrize(
    ("fields", "train", "error", "facts"),
    [
        (
            {},
            "small",
            DataError,
            r"1 of small:all has 28×40 pixels, less than pretraining\.cr_patch_size, 32×32"
            r" \(1 more",
        ),
        ({}, "gray", DataError, r"gray:all is gray and img_channels is 3"),
        ({}, "nothing", ArgumentError, r"nothing:all is not prepared"),
        ({"val": "gray"}, "mine", DataError, r"gray:all is gray"),
        ({"val": "small"}, "mine", DataError, r"2 of small:all has 40×24 pixels, .* 25×25"),
        ({"val": "nothing"}, "mine", ArgumentError, r"nothing:all is not prepared"),
        ({"scale_factor": 2}, "mine", ArgumentError, r"not prepared for a scale of 2"),
        (
            {"adversarial_loss": AdversarialLoss(type="wgan", n_critic=10)},
            "mine",  # three mini-batches an epoch, three epochs
            ArgumentError,
            r"training has 9 mini-batches, .* adversarial_loss\.n_critic = 10",
        ),
        ({"stages": "training", "init": "x"}, "small", DataError, r"training\.cr_patch_size"),
        (
            {"cr_patch_size": None},
            "small",
            DataError,
            r"1 of small:all has 28×40 pixels, not multiples of 8, .*: choose training\.cr_patch",
        ),
    ],
)
def test_data_on_which_training_would_fail_later_is_refused_at_once(
    root: Path, fields: dict[str, Any], train: str, error: type[SRError], facts: str
) -> None:
    check_data(config(root))
    with pytest.raises(error, match=facts):
        check_data(config(root, train, **fields))


def test_whole_images_that_a_unet_can_judge_are_accepted(root: Path) -> None:
    check_data(config(root, "rgb", val="rgb", cr_patch_size=None))


def test_validation_on_images_of_the_training_is_warned_of(root: Path) -> None:
    with pytest.warns(RuntimeWarning, match="pretraining trains on mine:all and validates on"):
        check_data(config(root, "mine", val="mine"))


def test_the_data_of_a_stage_that_is_not_run_is_not_needed(root: Path) -> None:
    settings = config(root, stages="pretraining")
    check_data(replace(settings, training=Training()))


def test_the_digest_depends_on_the_images_a_stage_trains_on_and_not_on_their_folder(
    root: Path, tmp_path: Path
) -> None:
    settings = config(root, "mine", "small")
    digest = data_digest(settings, "training", "train")
    shutil.copytree(root, tmp_path / "copy")
    copied = config(tmp_path / "copy", "mine", "small", val="rgb")
    assert data_digest(copied, "training", "train") == digest
    assert data_digest(copied, "training", "val") != digest
    for other in (("mine",), ("small", "mine"), ("mine", "rgb")):
        assert data_digest(config(root, *other), "training", "train") != digest
    save_folder(tmp_path / "small", (40, 40), (31, 40), (40, 28))
    shutil.rmtree(tmp_path / "copy/small")
    prepare(tmp_path / "small", root=tmp_path / "copy")
    prepared_anew = config(tmp_path / "copy", "mine", "small")
    assert data_digest(prepared_anew, "training", "train") != digest


def test_validation_pairs_are_writable_copies_of_every_whole_image(root: Path) -> None:
    pairs = validation_pairs(config(root, val="small"), "training")
    assert [pair.name for pair in pairs] == ["0", "1", "2"]
    lr, hr = pairs[1].read(4)
    assert (lr.shape, hr.shape) == ((7, 10, 3), (28, 40, 3))
    assert lr.flags.writeable
    assert hr.flags.writeable
    with pytest.raises(ArgumentError, match="scale of 4, and 2"):
        pairs[0].read(2)


def test_validation_pairs_are_degraded_as_evaluate_does_where_that_is_configured(
    root: Path,
) -> None:
    settings = config(root, val="small")
    clean = validation_pairs(settings, "training")  # their names are those that evaluate sees
    two = replace(settings.training, val_datasets=("small", "rgb"))
    chosen = replace(
        settings, training=two, validation=replace(settings.validation, degradation="real")
    )
    for before, after in zip(clean, validation_pairs(chosen, "training"), strict=False):
        assert after.name == f"small_{before.name}"
        lr, hr = after.read(4)
        np.testing.assert_array_equal(lr, DegradedPair("", before, "real").read(4)[0])
        np.testing.assert_array_equal(hr, before.read(4)[1])
        assert not np.array_equal(lr, before.read(4)[0])


def test_images_of_several_validation_sets_have_different_names(root: Path) -> None:
    settings = config(root)
    two = replace(settings, training=replace(settings.training, val_datasets=("small", "rgb")))
    names = [pair.name for pair in validation_pairs(two, "training")]
    assert names == ["small_0", "small_1", "small_2", "rgb_0", "rgb_1"]


def test_gray_networks_get_gray_images_unchanged_and_the_luma_of_rgb(root: Path) -> None:
    for name in ("gray", "rgb"):
        settings = config(root, name, val=name, img_channels=1)
        check_data(settings)
        assert {hr.shape[1] for _, hr in batches(settings)} == {1}
        (source,) = prepared(name, root=root, scale=4, purpose="val")
        for i, pair in enumerate(validation_pairs(settings, "training")):
            lr, hr = pair.read(4)
            assert lr.shape[2] == hr.shape[2] == 1
            expected = (
                source.hr(i) @ [0.299, 0.587, 0.114] if name == "rgb" else source.hr(i)[..., 0]
            )
            assert np.abs(hr[:, :, 0] - expected).max() <= 0.5
