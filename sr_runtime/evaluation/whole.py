"""Upscaling whole images, as the literature measures it, and the interpolation to compare with."""

from typing import Any

from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError
from sr_runtime.resize import resize
from sr_runtime.upscaler import Upscaler

__all__ = ["TILE", "bicubic", "upscale_whole"]

TILE = 4096
"""LR pixels, for `load`: above any benchmark image."""


def upscale_whole(upscaler: Upscaler, image: NDArray[Any]) -> NDArray[Any]:
    """Upscale in a single tile; ArgumentError for a model that can't take all of the image."""
    if len(upscaler.plan(*image.shape[:2])) > 1:
        raise ArgumentError(
            f"the model takes at most {upscaler.max_tile[0]}×{upscaler.max_tile[1]} pixels and "
            f"an image has {image.shape[0]}×{image.shape[1]}: whole images need a model that "
            "takes any size"
        )
    return upscaler.upscale(image)


def bicubic(image: NDArray[Any], scale: int) -> NDArray[Any]:
    """MATLAB's bicubic enlargement of (H, W, C) to (scale·H, scale·W, C)."""
    return resize(image, scale * image.shape[0], scale * image.shape[1])
