"""What the embedded models reach: the promises of their card, on real images."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict
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
from sr_train.config.file import fit_arguments, read_config
from sr_train.config.schema import Validation
from sr_train.degraded_pair import DegradedPair
from sr_train.lpips import load_lpips

pytestmark = pytest.mark.slow

DEGRADED = 6
"""How many images are damaged and measured."""

PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg")


@cache
def scored(model: str, folder: Path, degradation: str | None = None) -> Score:
    """Means over the folder's pairs, the first ones if they are damaged; in fp32, whole images, 4
    pixels cropped."""
    pairs: Sequence[ImagePair] = find_pairs(folder)
    if degradation is not None:
        pairs = [DegradedPair(pair, degradation, seed=0) for pair in pairs[:DEGRADED]]
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
    top, left = (side // 2 - 140 for side in pixels.shape[:2])
    return pixels[top : top + 280, left : left + 280]


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
def test_photo_and_photo_soft_improve_damaged_photos(
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


FIRST = "--init runs/embedded/weights/psnr.safetensors"
SMALL_CROPS = (
    f"--preset psnr {FIRST} --pretraining.lr 1e-3 --pretraining.num_steps 21000 "
    """--pretraining.train_datasets '["bsds500:train+test", div2k_val_crops256, free_photos]' """
    "--pretraining.val_datasets '[set5]'"
)
PHOTO_SOFT = (
    "--preset real --stages pretraining --degradation.mild_share 0.75 "
    "--degradation.mild.first.blur_probability 0.4 "
    "--degradation.mild.first.noise_probability 0.5 "
    "--degradation.mild.first.resize '{up: 0.1, down: 0.4, keep: 0.5}' "
    "--degradation.mild.second.jpeg_quality '[30, 95]'"
)
PHOTO = "--preset real --stages training --init runs/photo_soft/weights/psnr.safetensors"


@pytest.mark.parametrize(
    ("run", "words", "continued"),
    [
        ("embedded", "--preset embedded", ""),
        ("small_crops", SMALL_CROPS, ""),
        ("photo_soft", PHOTO_SOFT, ""),
        ("photo", PHOTO, "--training.num_steps 18000"),
    ],
)
def test_the_embedded_models_were_trained_as_their_card_says(
    run: str, words: str, continued: str
) -> None:
    card = (FOLDER / "README.md").read_text("utf-8").replace("\\\n  ", "")
    assert f"fit {words} --run {run}\n" in card
    assert not continued or f"fit --resume runs/{run} {continued}\n" in card
    trained = asdict(read_config(FOLDER / "training" / run / "config.yaml"))
    now = asdict(fit_arguments(shlex.split(f"{words} {continued}")).config)
    for values in (trained, now):
        del values["precision"], values["workers"]  # of the machine
        if values["init"] is not None:
            del values["generator"]  # that of `init`, which a run's file describes
        if values["stages"] == "pretraining":
            for section in ("training", "discriminator", "perceptual_loss"):  # of stage 2
                del values[section]
        if values["stages"] == "training":  # its last network is taken, whatever validation says
            del values["pretraining"], values["validation"]
        for stage in values["stages"].split(","):
            if values[stage]["schedule"] == "cosine":
                values[stage] = {k: v for k, v in values[stage].items() if "sched_step" not in k}
    assert now == trained
