"""The photos on which an export is measured: the shipped ones, or a folder of the user's."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_runtime import image
from sr_runtime.errors import ArgumentError
from sr_runtime.frame import color_planes
from sr_runtime.image import IMAGE_SUFFIXES

__all__ = ["CALIBRATION", "SIDE", "calibration_images", "crops", "tensor_from_crop"]

CALIBRATION = Path(__file__).parent / "calibration"
SIDE = 256


def calibration_images(folder: Path = CALIBRATION, *, channels: int) -> list[NDArray[np.uint8]]:
    """The middle `(256, 256, channels)` of every image in a folder.

    Raises:
        ArgumentError: The folder has no image, or one that is too small.
    """
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise ArgumentError("there are no images here to calibrate the halo on", path=folder)
    return [_middle(path, channels) for path in paths]


def crops(count: int, height: int, width: int, *, channels: int) -> list[NDArray[np.uint8]]:
    """`count` different `(height, width, channels)` crops of the shipped photos."""
    photos = calibration_images(channels=channels)
    beyond = ((0, max(0, height - SIDE)), (0, max(0, width - SIDE)), (0, 0))
    found = []
    for number in range(count):
        # Shifted, so that more crops than there are photos differ all the same.
        photo = np.roll(photos[number % len(photos)], (16 * number - 64, -64), axis=(0, 1))
        found.append(np.pad(photo, beyond, mode="symmetric")[:height, :width])
    return found


def tensor_from_crop(pixels: NDArray[np.uint8]) -> Tensor:
    """`(H, W, C)` uint8 to `(1, C, H, W)` float32 in [0, 1]."""
    return torch.from_numpy(pixels.transpose(2, 0, 1)[np.newaxis] / np.float32(255))


def _middle(path: Path, channels: int) -> NDArray[Any]:
    pixels = color_planes(image.read_still(path))
    height, width = pixels.shape[:2]
    if min(height, width) < SIDE:
        raise ArgumentError(
            f"{width}×{height} is too small to calibrate the halo on: give images of "
            f"{SIDE}×{SIDE} or more",
            path=path,
        )
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    pixels = pixels[top : top + SIDE, left : left + SIDE]
    if pixels.dtype == np.uint16:
        pixels = (pixels // 257).astype(np.uint8)
    if pixels.shape[2] > channels:
        return pixels[:, :, 1:2]  # a gray network: the green plane will do
    if channels == 4:
        pixels = np.broadcast_to(pixels, (SIDE, SIDE, 3))
        return np.concatenate((pixels, pixels[:, :, 1:2]), axis=2)  # any alpha that varies
    return np.broadcast_to(pixels, (SIDE, SIDE, channels))
