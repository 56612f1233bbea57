"""Crops per second of the training loader, against decoding PNGs of DIV2K's size for each crop.

The photos of SR_DATA/bsds500 are laid out side by side to that size. Both run in turn on one core,
with their files in the page cache: this compares the work per crop.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.data import in_data
from benchmarks.json_file import write_json
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser, path
from sr_runtime.errors import ArgumentError
from sr_runtime.resize import downscale
from sr_runtime.storage.atomic import check_target
from sr_train.config.schema import Augmentation, Config, Pretraining
from sr_train.data.build.prepare import prepare
from sr_train.data.loader import training_loader

ROUNDS = 4
PHOTOS = 6
HEIGHT, WIDTH = 1356, 2040  # DIV2K's most common size
SCALE, CROP, BATCH = 4, 128, 16
PNG = "decoding the PNGs of HR and LR for each crop"

Photo = NDArray[np.uint8]
Batch = Sequence[Tensor]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0, or 2 after an error."""
    return run_cli(lambda words: _run(parser().parse_args(words).output), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m benchmarks.loader",
        description=__doc__,
        examples={"": "", "-o benchmarks/results/cpu_loader.json": ""},
    )
    made.add_argument(
        "-o", "--output", type=path, metavar="JSON",
        help="write the results here too (default: print them only)",
    )  # fmt: skip
    return made


def _run(output: Path | None) -> int:
    if output is not None:
        check_target(output)
    with tempfile.TemporaryDirectory() as folder:
        pngs = _write_pngs(Path(folder, "pngs"))
        config = _prepared(pngs)
        _check_crops(pngs, config)
        rates = _rates(pngs, config)
    results = {"crops_per_second": rates}
    print(f"\n{table(results)}")
    if output is not None:
        write_json(output, results)
    return 0


def table(results: Mapping[str, Any]) -> str:
    """Markdown: a row for each contender."""
    rates = results["crops_per_second"]
    crops = f"{CROP}×{CROP} crops from {WIDTH}×{HEIGHT} pixels, one core"
    lines = [f"| {crops} | crops/s | gain |", "|---|--:|--:|"]
    for name, values in rates.items():
        gain = statistics.median(a / b for a, b in zip(values, rates[PNG], strict=True))
        lines.append(f"| {name} | {statistics.median(values):,.0f} | {gain:,.0f}× |")
    return "\n".join(lines)


def _rates(pngs: Path, config: Config) -> dict[str, list[float]]:
    """Crops per second of every contender in every round."""
    contenders: dict[str, tuple[Iterator[Batch], int]] = {
        PNG: (_png_batches(pngs), 1),
        "loader": (_plain_crops(config), 40),
        "loader, with pretraining's augmentation": (
            iter(training_loader(config, "pretraining", batch=0)),
            40,
        ),
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(1 + ROUNDS):
        for name, (batches, count) in contenders.items():
            start = time.perf_counter()
            for _ in range(count):
                next(batches)
            if turn:  # the first round warms up
                rates[name].append(count * BATCH / (time.perf_counter() - start))
    return rates


def _plain_crops(config: Config) -> Iterator[Batch]:
    """Crops of the loader without augmentation."""
    plain = replace(
        config, augmentation=Augmentation(probability=0, compression=0, coarse_dropout=0)
    )
    return iter(training_loader(plain, "pretraining", batch=0))


def _check_crops(pngs: Path, config: Config) -> None:
    """Raise ArgumentError unless the loader's crops are parts of the PNGs, both LR and HR."""
    lr, hr = next(_plain_crops(config))
    photos = [
        tuple(np.asarray(PIL.Image.open(pngs / kind / f"{i}.png")) for kind in ("LR", "HR"))
        for i in range(PHOTOS)
    ]
    for lr_crop, hr_crop in zip(lr, hr, strict=True):
        if not any(
            np.array_equal(hr_crop.permute(1, 2, 0), _hr_part(large, top, left))
            for small, large in photos
            for top, left in _places_of(lr_crop.permute(1, 2, 0).numpy(), small)
        ):
            raise ArgumentError("the loader gives crops that are not in the PNGs")


def _mosaic(paths: Sequence[Path]) -> Photo:
    """Photos tiled side by side: upscaled ones would be smoother than DIV2K's and decode faster."""
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


def _write_pngs(folder: Path) -> Path:
    """A folder of HR/NAME.png and LR/NAME.png, of real photos."""
    paths = sorted(in_data("bsds500/train").glob("*.jpg"))
    for i in range(PHOTOS):
        hr = _mosaic(paths[25 * i :])
        for kind, image in (("HR", hr), ("LR", downscale(hr, SCALE))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(image).save(folder / kind / f"{i}.png")
    return folder


def _prepared(pngs: Path) -> Config:
    """The configuration of a run on these pictures, prepared beside them."""
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
    top = int(generator.integers(lr.shape[0] - side + 1))
    left = int(generator.integers(lr.shape[1] - side + 1))
    return lr[top : top + side, left : left + side], _hr_part(hr, top, left)


def _hr_part(hr: Photo, top: int, left: int) -> Photo:
    """The HR crop for the LR crop at this position."""
    return hr[SCALE * top : SCALE * top + CROP, SCALE * left : SCALE * left + CROP]


def _places_of(crop: Photo, image: Photo) -> list[tuple[int, int]]:
    """The crop's position in the image, found by its corner."""
    side = len(crop)
    corners = np.argwhere((image == crop[0, 0]).all(axis=2))
    return [
        (top, left)
        for top, left in corners.tolist()
        if np.array_equal(image[top : top + side, left : left + side], crop)
    ]


if __name__ == "__main__":
    sys.exit(main())
