"""The folder of real images and weights: SR_DATA, by default ../shared/data."""

import os
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError

__all__ = ["DATA", "PHOTO", "WEIGHTS", "in_data", "photo"]

DATA = Path(os.environ.get("SR_DATA", Path(__file__).parents[2] / "shared" / "data"))

# Names in it: what the speed of the upscaler is measured on, a photo of 300×451 and a network.
PHOTO = "photos/chelsea.png"
WEIGHTS = "weights/RRDB_PSNR_x4.pth"


def in_data(name: str) -> Path:
    """A file or folder of SR_DATA; ArgumentError if it is not there."""
    if not (path := DATA / name).exists():
        raise ArgumentError(
            f"{path} is not there: set SR_DATA to the folder of real images and weights"
        )
    return path


def photo() -> NDArray[np.uint8]:
    """A real photo, `(H, W, 3)`: SR_DATA's, or the one that comes with the runtime."""
    mine, shipped = DATA / "photos" / "coffee.png", files("sr_runtime.examples") / "chelsea.png"
    with as_file(mine if mine.exists() else shipped) as path, PIL.Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
