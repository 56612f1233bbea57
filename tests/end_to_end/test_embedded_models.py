"""What the embedded models reach: the promises of their card, on real images."""

import csv
import re
import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

import sr_runtime
from sr_runtime.embedded import EMBEDDED, FOLDER
from sr_runtime.evaluation.pairs import find_pairs
from sr_runtime.evaluation.scoring import (
    TILE,
    ImagePair,
    Score,
    bicubic,
    mean,
    score,
    upscale_whole,
)
from sr_runtime.resize import downscale
from sr_train.config.file import fit_arguments, preset, read_config
from sr_train.config.schema import Validation
from sr_train.data.degraded_pair import DegradedPair
from sr_train.lpips import load_lpips

pytestmark = pytest.mark.slow

DEGRADED = 4
"""How many images are degraded and measured."""

PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")


@cache
def scored(model: str, folder: Path, degradation: str | None = None) -> Score:
    """Means over the folder's pairs, the first ones if they are degraded; in fp32, whole images, 4
    pixels cropped."""
    pairs: Sequence[ImagePair] = find_pairs(folder)
    if degradation is not None:
        pairs = [DegradedPair(pair.name, pair, degradation) for pair in pairs[:DEGRADED]]
    if model == "bicubic":
        return mean(score(lambda lr: bicubic(lr, 4), pairs, scale=4))
    lpips = load_lpips(Validation(), folder.parents[1])
    with sr_runtime.load(model, precision="fp32", tile=TILE) as upscaler:
        return mean(
            score(
                lambda lr: upscale_whole(upscaler, lr),
                pairs,
                scale=4,
                distances={"lpips": lpips.of_images},
            )
        )


@pytest.fixture
def photo(data: Path, request: pytest.FixtureRequest) -> Path:
    return data / "photos" / request.param


def middle(photo: Path) -> NDArray[np.uint8]:
    """The middle of a photo."""
    with PIL.Image.open(photo) as image:
        pixels = np.asarray(image.convert("RGB"))
    top, left = (side // 2 - 112 for side in pixels.shape[:2])
    return pixels[top : top + 224, left : left + 224]


@cache
def whole(model: str, photo: Path) -> NDArray[np.uint8]:
    """The middle of a photo, upscaled in one tile."""
    pixels = middle(photo)
    with sr_runtime.load(model, precision="fp32", tile=TILE) as upscaler:
        assert len(upscaler.plan(*pixels.shape[:2])) == 1
        return upscaler.upscale(pixels)


def on_photos(test: Any) -> Any:
    return pytest.mark.parametrize("photo", PHOTOS, indirect=True)(
        pytest.mark.parametrize("model", EMBEDDED)(test)
    )


def test_psnr_reaches_its_scores(data: Path) -> None:
    assert scored("psnr", data / "set5" / "x4").psnr_y >= 31.6


def test_esrgan_looks_closer_than_psnr_and_stays_near_the_pixels(data: Path) -> None:
    psnr, esrgan = (scored(model, data / "set5" / "x4") for model in ("psnr", "esrgan"))
    assert psnr.lpips is not None
    assert esrgan.lpips is not None
    assert esrgan.lpips <= 0.65 * psnr.lpips
    assert esrgan.psnr_y >= scored("bicubic", data / "set5" / "x4").psnr_y - 0.5


@pytest.mark.parametrize(
    ("degradation", "share"), [("jpeg30", 0.75), ("mild", 0.9), ("real", 0.65)]
)
def test_photo_and_photo_soft_improve_degraded_photos(
    degradation: str, share: float, data: Path
) -> None:
    """LPIPS learned from the features of SqueezeNet, as `photo` and `esrgan` did."""
    photo, soft, esrgan, enlarged = (
        scored(model, data / "bsds500" / "val", degradation)
        for model in ("photo", "photo-soft", "esrgan", "bicubic")
    )
    assert photo.lpips is not None
    assert esrgan.lpips is not None
    assert photo.lpips <= share * esrgan.lpips
    assert photo.psnr_y >= enlarged.psnr_y - 1
    assert soft.psnr_y > max(enlarged.psnr_y, esrgan.psnr_y)


@on_photos
def test_tiles_leave_no_seam_on_a_photo(model: str, photo: Path) -> None:
    pixels = middle(photo)
    with sr_runtime.load(model, precision="fp32", tile=128) as upscaler:
        assert len(upscaler.plan(*pixels.shape[:2])) > 1
        tiled = upscaler.upscale(pixels)
    assert np.abs(tiled.astype(int) - whole(model, photo)).max() <= 2


@on_photos
def test_colours_stay_and_no_grid_appears_on_a_photo(model: str, photo: Path) -> None:
    small, large = middle(photo), whole(model, photo)
    # In steps of 255, of which an eye sees two or three at best.
    shift = (downscale(large, 4).astype(float) - small).mean((0, 1))
    assert np.abs(shift).max() < 2.5
    # A checkerboard of the network's own would have the period of its scale.
    added = large.astype(float) - bicubic(small, 4)
    phases = [added[i::4, j::4].mean() for i in range(4) for j in range(4)]
    assert np.ptp(phases) < 1.5


@pytest.mark.parametrize("run", ["embedded", "small_crops", "photo_soft", "photo"])
def test_the_embedded_models_can_be_trained_again_as_their_card_says(
    run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER.parents[1])
    card = (FOLDER / "README.md").read_text("utf-8")
    (words,) = re.findall(rf"sr_train fit (--config .*) --run {run}\n", card)
    config = fit_arguments(shlex.split(words)).config
    resumed = re.findall(rf"sr_train fit --resume runs/{run} --training.num_steps (\d+)\n", card)
    for steps in resumed:
        assert config.training.num_steps == int(steps) // 2
        config = replace(config, training=replace(config.training, num_steps=int(steps)))
    assert config == read_config(FOLDER / "training" / run / "config.yaml")
    with (FOLDER / "training" / run / "metrics.csv").open(newline="") as file:
        last = {row["stage"]: row for row in csv.DictReader(file)}
    before = 0
    for stage in config.stage_names:
        section, step = config.section(stage), int(last[stage]["step"])
        length = int(last[stage]["epoch"]) if section.num_steps is None else step - before
        assert length == (section.num_steps or section.num_epoch)
        before = step


def test_the_preset_embedded_is_the_recipe_of_esrgan() -> None:
    trained = asdict(read_config(FOLDER / "training" / "embedded" / "config.yaml"))
    preset_now = asdict(preset("embedded"))
    for values in (trained, preset_now):
        del values["precision"], values["workers"], values["validation"]
        for stage in ("pretraining", "training"):  # 500 images, 125 mini-batches an epoch
            epochs = values[stage].pop("num_epoch")
            values[stage]["num_steps"] = values[stage]["num_steps"] or 125 * epochs
            del values[stage]["train_datasets"]
    assert preset_now == trained


def test_the_preset_real_is_the_recipe_of_photo() -> None:
    trained, now = read_config(FOLDER / "training" / "photo" / "config.yaml"), preset("real")
    shorter = replace(
        trained.training,
        num_steps=now.training.num_steps,
        train_datasets=now.training.train_datasets,
        val_datasets=now.training.val_datasets,
    )
    assert shorter == now.training
    for section in ("degradation", "discriminator", "perceptual_loss", "augmentation"):
        assert getattr(trained, section) == getattr(now, section)
