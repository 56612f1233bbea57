"""Small pictures with something to tell them by, as files."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


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
