"""The photos on which an export is measured: the shipped ones, or a folder of the user's."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_runtime import image
from sr_runtime.errors import ArgumentError
from sr_runtime.frame import color_planes
from sr_runtime.image import IMAGE_SUFFIXES

__all__ = ["CALIBRATION", "SIDE", "calibration_images", "crops", "in_channels", "tensor_from_crop"]

CALIBRATION = Path(__file__).parent / "calibration"
SIDE = 256


def calibration_images(folder: Path = CALIBRATION) -> list[NDArray[np.uint8]]:
    """The middle `(256, 256, 1 or 3)` of every image in a folder.

    Raises:
        ArgumentError: The folder cannot be read or has no image, or one that is too small.
        ImageError: An image cannot be read.
    """
    try:
        paths = sorted(each for each in folder.iterdir() if each.suffix.lower() in IMAGE_SUFFIXES)
    except OSError as error:
        raise ArgumentError(
            f"no folder of images to calibrate the halo on ({error.strerror}): name one",
            path=folder,
        ) from error
    if not paths:
        raise ArgumentError(
            "there are no images here to calibrate the halo on: name another folder", path=folder
        )
    return [_middle(path) for path in paths]


def in_channels(pixels: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """A photo for a network of this many channels: 1, 3 or 4."""
    if pixels.shape[2] > channels:
        return pixels[:, :, 1:2]  # the green plane will do
    if channels == 4:
        pixels = in_channels(pixels, 3)
        return np.concatenate((pixels, pixels[:, :, 1:2]), axis=2)  # any alpha that varies
    return np.broadcast_to(pixels, (*pixels.shape[:2], channels))


def crops(count: int, height: int, width: int, *, channels: int) -> list[NDArray[np.uint8]]:
    """`count` different `(height, width, channels)` crops of the shipped photos."""
    photos = [in_channels(photo, channels) for photo in calibration_images()]
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


def _middle(path: Path) -> NDArray[np.uint8]:
    pixels = color_planes(image.read_still(path))
    height, width = pixels.shape[:2]
    if min(height, width) < SIDE:
        raise ArgumentError(
            f"{width}×{height} is too small to calibrate the halo on: give images of "
            f"{SIDE}×{SIDE} or more",
            path=path,
        )
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    middle = pixels[top : top + SIDE, left : left + SIDE]
    # A copy, without which the whole photo stays in memory.
    return (middle // (257 if pixels.dtype == np.uint16 else 1)).astype(np.uint8)
