"""The halo at which a tile can no longer be told from the whole image."""

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sr_export.photos import SIDE, tensor_from_crop
from sr_train.models.generator import Generator

__all__ = ["calibrate_halo"]

STEP = 8
CORE = 64
# Measured: no ESRGAN generator that we know needs more than 40.
LARGEST = 64
# Around the core in the image that stands for the whole: more than the largest halo.
CONTEXT = 96
assert SIDE == CORE + 2 * CONTEXT


def calibrate_halo(
    generator: Generator,
    images: Sequence[NDArray[np.uint8]],
    *,
    progress: Callable[[float], None] = lambda _share: None,
) -> int:
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
    for number, pixels in enumerate(images):
        progress(number / len(images))
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
