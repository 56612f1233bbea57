"""The halo at which a tile can no longer be told from the whole image."""

import copy
import warnings
from collections.abc import Sequence
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
from sr_train.models.generator import Generator

__all__ = ["CALIBRATION", "calibrate_halo", "calibration_images", "tensor_from_crop"]

CALIBRATION = Path(__file__).parent / "calibration"

STEP = 8
CORE = 64
# Measured: no ESRGAN generator that we know needs more than 40.
LARGEST = 64
# Around the core in the image that stands for the whole: more than the largest halo.
CONTEXT = 96
SIDE = CORE + 2 * CONTEXT


def calibrate_halo(generator: Generator, images: Sequence[NDArray[Any]]) -> int:
    """The smallest multiple of 8 at which tiles and whole images differ by at most 1/255.

    Args:
        images: `(256, 256, C)` uint8, as `calibration_images` gives them.

    Warns where even 64, the largest that is tried, is not enough.
    """
    generator = copy.deepcopy(generator).eval()
    generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    radius = generator.receptive_radius
    most = LARGEST + STEP if radius is None else -(-radius // STEP) * STEP
    halo = STEP
    for pixels in images:
        whole = _run(generator, pixels)
        while halo < most and (off := _largest_difference(generator, pixels, whole, halo)) > 1:
            if halo == LARGEST:
                warnings.warn(
                    f"even at a halo of {LARGEST} tiles differ from the whole image by {off}/255: "
                    "seams may be seen unless images are upscaled with halo exact",
                    RuntimeWarning,
                    stacklevel=2,
                )
                break
            halo += STEP
    return halo


def calibration_images(folder: Path = CALIBRATION, *, channels: int = 3) -> list[NDArray[Any]]:
    """The middle `(256, 256, channels)` of every image in a folder.

    Raises:
        ArgumentError: The folder has no image, or one that is too small.
    """
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise ArgumentError(f"{folder}: no images to calibrate the halo on")
    return [_middle(path, channels) for path in paths]


def _middle(path: Path, channels: int) -> NDArray[Any]:
    pixels = color_planes(image.read(path).frames[0])
    height, width = pixels.shape[:2]
    if min(height, width) < SIDE:
        raise ArgumentError(
            f"{path}: {width}×{height} is too small to calibrate the halo on, "
            f"which needs {SIDE}×{SIDE} or more"
        )
    top, left = (height - SIDE) // 2, (width - SIDE) // 2
    pixels = pixels[top : top + SIDE, left : left + SIDE]
    if pixels.dtype == np.uint16:
        pixels = (pixels // 257).astype(np.uint8)
    if pixels.shape[2] > channels:
        return pixels[:, :, 1:2]  # a gray network: the green plane will do
    return np.broadcast_to(pixels, (SIDE, SIDE, channels))


def _largest_difference(
    generator: Generator, pixels: NDArray[Any], whole: NDArray[Any], halo: int
) -> int:
    """Largest difference, in 1/255, over the core of a tile with this halo."""
    scale, margin = generator.scale_factor, CONTEXT - halo
    tile = _run(generator, pixels[margin : SIDE - margin, margin : SIDE - margin])
    core = slice(halo * scale, (halo + CORE) * scale)
    whole_core = slice(CONTEXT * scale, (CONTEXT + CORE) * scale)
    difference = tile[:, core, core].astype(int) - whole[:, whole_core, whole_core]
    return int(np.abs(difference).max())


@torch.inference_mode()
def _run(generator: Generator, pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """`(H, W, C)` uint8 to `(C, sH, sW)` uint8."""
    tensor = tensor_from_crop(pixels).contiguous(memory_format=torch.channels_last)
    output = generator(tensor)[0]
    result: NDArray[np.uint8] = (output.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return result


def tensor_from_crop(pixels: NDArray[Any]) -> Tensor:
    """`(H, W, C)` uint8 to `(1, C, H, W)` float32 in [0, 1]."""
    return torch.from_numpy(pixels.transpose(2, 0, 1)[np.newaxis] / np.float32(255))
