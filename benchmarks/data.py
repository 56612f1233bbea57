"""The folder of real images and weights: SR_DATA, by default ../shared/data."""

import os
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

__all__ = ["DATA", "photo"]

DATA = Path(os.environ.get("SR_DATA", Path(__file__).parents[2] / "shared" / "data"))


def photo() -> NDArray[np.uint8]:
    """A real photo, `(H, W, 3)`: SR_DATA's, or the one that comes with the runtime."""
    mine, shipped = DATA / "photos" / "coffee.png", files("sr_runtime.examples") / "chelsea.png"
    with as_file(mine if mine.exists() else shipped) as path, PIL.Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
