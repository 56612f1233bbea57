"""Small pictures as files, and data sets made of them."""

import re
from pathlib import Path
from typing import Any

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
    """Write an image, and make its folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.squeeze()).save(path)


def save_folder(folder: Path, *sizes: tuple[int, ...]) -> list[Pixels]:
    """Write `0.png`, `1.png`, … of these (height, width) or (height, width, channels)."""
    images = [made_image(seed, *size) for seed, size in enumerate(sizes)]
    for i, image in enumerate(images):
        save(image, folder / f"{i}.png")
    return images


def prepare_own(folder: Path, root: Path, **options: Any) -> PackedImages:
    """The folder as a prepared data set."""
    path = prepare(folder, root=root, **options)
    scale = options.get("scale", 4)
    return PackedImages(path / "all", scale)


def tree(root: Path) -> dict[str, bytes]:
    """The content of every file below, except locks; of an index, what does not tell times."""
    return {
        str(path.relative_to(root)): timeless(path.read_bytes())
        for path in root.rglob("*")
        if path.is_file() and path.name != LOCK
    }


def timeless(content: bytes) -> bytes:
    """An index without the times of its files, and without its checksum, which counts them."""
    return re.sub(rb'"(mtime_ns|checksum)": .*', b"", content)
