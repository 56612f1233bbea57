"""Crops per second of the training loader, against decoding PNGs of DIV2K's size for each crop.

On one core, the files of both in the page cache, in turn: what is compared is the work per crop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from benchmarks.data import DATA
from sr_runtime.resize import downscale
from sr_train.config import Augmentation, Config, Pretraining
from sr_train.data.datasets import prepare
from sr_train.data.loading import training_loader

ROUNDS = 4
PHOTOS = 6
HEIGHT, WIDTH = 1356, 2040  # the commonest of DIV2K
SCALE, CROP, BATCH = 4, 128, 16
PLAIN, AUGMENTED, PNG = CONTENDERS = (
    "loader, workers 0",
    "loader, workers 0, augmentation of pretraining",
    "decoding the PNGs of HR and LR per crop",
)
BATCHES = {PLAIN: 40, AUGMENTED: 40, PNG: 1}

Photo = NDArray[np.uint8]
Batch = Sequence[Tensor]


def _mosaic(paths: Sequence[Path]) -> Photo:
    """Photos side by side: upscaled ones would be smoother than DIV2K's, and decode faster."""
    mosaic = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    tiles = iter(paths)
    for top in range(0, HEIGHT, 321):
        for left in range(0, WIDTH, 481):
            with PIL.Image.open(next(tiles)) as image:
                photo = np.asarray(image)
            place = mosaic[top : top + 321, left : left + 481]
            upright = photo if photo.shape[0] == 321 else np.rot90(photo)
            place[...] = upright[: place.shape[0], : place.shape[1]]
    return mosaic


@pytest.fixture(scope="session")
def pngs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of HR/NAME.png and LR/NAME.png."""
    source = DATA / "bsds500" / "train"
    if not source.is_dir():
        pytest.skip(f"{source} is not there: set SR_DATA")
    paths = sorted(source.glob("*.jpg"))
    folder = tmp_path_factory.mktemp("loader") / "pngs"
    for i in range(PHOTOS):
        hr = _mosaic(paths[25 * i :])
        for kind, image in (("HR", hr), ("LR", downscale(hr, SCALE))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(image).save(folder / kind / f"{i}.png")
    return folder


@pytest.fixture(scope="session")
def config(pngs: Path) -> Config:
    """Of a loader that makes crops without end."""
    root = pngs.parent / "data"
    prepare(str(pngs), root=root, source=None, scale=SCALE, jobs=2)
    return Config(
        data_root=str(root),
        workers=0,
        batch_size=BATCH,
        pretraining=Pretraining(
            cr_patch_size=(CROP, CROP), train_datasets=("pngs",), val_datasets=("pngs",)
        ),
        stages="pretraining",
    )


def _png_batches(folder: Path) -> Iterator[tuple[Tensor, Tensor]]:
    generator = np.random.default_rng(0)
    while True:
        pairs = [_png_crop(folder, generator) for _ in range(BATCH)]
        lr, hr = (torch.from_numpy(np.stack(images)) for images in zip(*pairs, strict=True))
        yield lr.permute(0, 3, 1, 2), hr.permute(0, 3, 1, 2)


def _png_crop(folder: Path, generator: np.random.Generator) -> tuple[Photo, Photo]:
    name = f"{generator.integers(PHOTOS)}.png"
    lr, hr = (np.asarray(PIL.Image.open(folder / kind / name)) for kind in ("LR", "HR"))
    side = CROP // SCALE
    top = generator.integers(lr.shape[0] - side + 1)
    left = generator.integers(lr.shape[1] - side + 1)
    return (
        lr[top : top + side, left : left + side],
        hr[SCALE * top : SCALE * top + CROP, SCALE * left : SCALE * left + CROP],
    )


@pytest.fixture(scope="session")
def contenders(pngs: Path, config: Config) -> dict[str, Iterator[Batch]]:
    """Mini-batches, endlessly."""
    plain = replace(
        config, augmentation=Augmentation(probability=0, compression=0, coarse_dropout=0)
    )
    return {
        PLAIN: iter(training_loader(plain, "pretraining", epoch=0, batch=0)),
        AUGMENTED: iter(training_loader(config, "pretraining", epoch=0, batch=0)),
        PNG: _png_batches(pngs),
    }


@pytest.mark.parametrize(
    ("turn", "contender"), [(turn, name) for turn in range(ROUNDS) for name in CONTENDERS]
)
def test_loader(
    turn: int,
    contender: str,
    contenders: dict[str, Iterator[Batch]],
    benchmark: BenchmarkFixture,
) -> None:
    batches = contenders[contender]
    count = BATCHES[contender]

    def run() -> None:
        for _ in range(count):
            next(batches)

    benchmark.group = f"round {turn}"
    benchmark.extra_info |= {"contender": contender, "crops": count * BATCH, "crop": CROP}
    benchmark.pedantic(  # type: ignore[no-untyped-call]
        run, rounds=1, warmup_rounds=1 if turn == 0 else 0
    )
    if benchmark.stats is not None:  # None where benchmarks are switched off
        rate = count * BATCH / benchmark.stats["mean"]
        benchmark.extra_info["crops_per_second"] = round(rate, 1)


def test_the_loader_gives_the_pixels_of_the_pngs(pngs: Path, config: Config) -> None:
    plain = replace(
        config, augmentation=Augmentation(probability=0, compression=0, coarse_dropout=0)
    )
    lr, hr = next(iter(training_loader(plain, "pretraining", epoch=0, batch=0)))
    photos = [
        tuple(np.asarray(PIL.Image.open(pngs / kind / f"{i}.png")) for kind in ("LR", "HR"))
        for i in range(PHOTOS)
    ]
    for lr_crop, hr_crop in zip(lr, hr, strict=True):
        found = [
            (small, large, place)
            for small, large in photos
            for place in _places_of(lr_crop.permute(1, 2, 0).numpy(), small)
        ]
        assert any(
            np.array_equal(
                hr_crop.permute(1, 2, 0),
                large[SCALE * top : SCALE * top + CROP, SCALE * left : SCALE * left + CROP],
            )
            for _, large, (top, left) in found
        )


def _places_of(crop: Photo, image: Photo) -> list[tuple[int, int]]:
    """Where in the image the crop lies, found by its corner."""
    side = len(crop)
    corners = np.argwhere((image == crop[0, 0]).all(axis=2))
    return [
        (top, left)
        for top, left in corners.tolist()
        if np.array_equal(image[top : top + side, left : left + side], crop)
    ]
