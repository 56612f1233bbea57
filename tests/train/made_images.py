"""Small pictures as files, and data sets made of them."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_train.data.build.prepare import prepare
from sr_train.data.packed_dataset import PackedImages
from sr_train.lock import LOCK

Pixels = NDArray[np.uint8]

SIZE = (32, 40)


def made_image(seed: int, height: int, width: int, channels: int = 3) -> Pixels:
    """(H, W, C) noise."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


def save(image: Pixels, path: Path) -> None:
    """Write it, in folders that are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.squeeze()).save(path)


def save_folder(folder: Path, *sizes: tuple[int, ...]) -> list[Pixels]:
    """`0.png`, `1.png`, … of these (height, width) or (height, width, channels)."""
    images = [made_image(seed, *size) for seed, size in enumerate(sizes)]
    for i, image in enumerate(images):
        save(image, folder / f"{i}.png")
    return images


def prepare_own(folder: Path, root: Path, scale: int = 4, jobs: int = 1) -> PackedImages:
    """The folder as a prepared data set."""
    path = prepare(str(folder), root=root, source=None, scale=scale, jobs=jobs)
    return PackedImages(path / "all", scale)


def tree(root: Path) -> dict[str, bytes]:
    """Every file below, but for locks."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != LOCK
    }
