"""One image through a generator in PyTorch."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sr_runtime.errors import ArgumentError
from sr_runtime.tensor import check_finite, write_planes
from sr_train.models.generator import Generator
from sr_train.precision import autocast

__all__ = ["image_from_tensor", "super_resolved", "tensor_from_image", "upscale_torch"]


def tensor_from_image(image: NDArray[Any], device: torch.device) -> Tensor:
    """(H, W, C) uint8 or uint16 to (1, C, H, W) fp32 in [0, 1]."""
    planes = image.transpose(2, 0, 1)[np.newaxis] / np.float32(np.iinfo(image.dtype).max)
    return torch.from_numpy(np.ascontiguousarray(planes, np.float32)).to(device)


def image_from_tensor(tensor: Tensor, *, like: NDArray[Any]) -> NDArray[Any]:
    """(1, C, H, W) to (H, W, C') with the channels and dtype of `like`, clamped and rounded.

    RGB becomes gray if `like` is gray. Raises NonFiniteError for NaN or infinity.
    """
    planes = tensor[0].float().cpu().numpy()
    check_finite(planes)
    image = np.empty((*planes.shape[1:], like.shape[2]), like.dtype)
    write_planes(planes, image)
    return image


@torch.inference_mode()
def super_resolved(
    generator: Generator, image: NDArray[Any], precision: torch.dtype = torch.float32
) -> Tensor:
    """(H, W, C) to (1, channels of the generator, scale·H, scale·W) fp32, not clamped.

    The whole image is computed at once, on the generator's device. A gray image goes through an RGB
    generator as R = G = B. Raises ArgumentError for an RGB image and a gray generator, and for a
    generator of other channels.
    """
    if generator.in_channels != generator.out_channels or generator.in_channels not in (1, 3):
        raise ArgumentError(
            f"the generator takes {generator.in_channels} channel(s) and gives "
            f"{generator.out_channels}, and images are computed only from gray to gray (1) or from "
            "RGB to RGB (3): call it with a tensor"
        )
    device = next(generator.parameters()).device
    low = tensor_from_image(image, device)
    if low.shape[1] not in (1, generator.in_channels):
        remedy = "convert the image to gray, or take an RGB generator"
        raise ArgumentError(
            f"the generator takes {generator.in_channels} channel(s) and the image has "
            f"{low.shape[1]}: {'remove its transparency' if low.shape[1] in (2, 4) else remedy}"
        )
    low = low.expand(-1, generator.in_channels, -1, -1)
    height, width = low.shape[2:]
    multiple, scale = generator.multiple_of, generator.scale_factor
    low = F.pad(low, (0, -width % multiple, 0, -height % multiple), mode="replicate")
    with autocast(device, precision):
        # By `forward`: calling a compiled network would compile it for every size.
        sr = generator.forward(low)
    cropped: Tensor = sr[..., : scale * height, : scale * width].float()
    return cropped


def upscale_torch(
    generator: Generator, image: NDArray[Any], precision: torch.dtype = torch.float32
) -> NDArray[Any]:
    """(H, W, C) uint8 or uint16 to (scale·H, scale·W, C) of its dtype; see `super_resolved`."""
    return image_from_tensor(super_resolved(generator, image, precision), like=image)
