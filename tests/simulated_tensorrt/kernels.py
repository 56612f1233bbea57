"""The kernels of pixels.cu in numpy, by the host's own conversions."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.model_info import ModelInfo
from sr_runtime.tensor import tensor_from_tiles, write_planes
from tests.simulated_tensorrt.machine import Gpu

__all__ = ["KERNELS"]


def _info(channels: int) -> ModelInfo:
    return ModelInfo(
        arch="",
        scale=1,
        in_channels=channels,
        out_channels=channels,
        io="float32",
        weights_dtype="float32",
    )


def _array(gpu: Gpu, address: int, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    return gpu.memory_at(address, nbytes).view(dtype).reshape(shape)


def _arrays(
    gpu: Gpu, images: int, pixels: int, planes: int, finite: int, numbers: tuple[int, ...]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
    area, colors, channels, wide, half = numbers
    return (
        _array(gpu, pixels, (images, area, 1, colors), np.uint16 if wide else np.uint8),
        _array(gpu, planes, (images, channels, area, 1), np.float16 if half else np.float32),
        _array(gpu, finite, (images,), np.bool_),
    )


def planes_from_pixels(
    gpu: Gpu, images: int, pixels: int, planes: int, finite: int, *numbers: int
) -> None:
    source, target, flags = _arrays(gpu, images, pixels, planes, finite, numbers)
    target[...] = tensor_from_tiles(list(source), _info(target.shape[1]))
    flags[...] = True


def pixels_from_planes(
    gpu: Gpu, images: int, planes: int, pixels: int, finite: int, *numbers: int
) -> None:
    target, source, flags = _arrays(gpu, images, pixels, planes, finite, numbers)
    for image, picture in zip(source, target, strict=True):
        with np.errstate(invalid="ignore"):
            write_planes(image, picture)
    flags &= np.isfinite(source).all(axis=(1, 2, 3))


KERNELS: dict[str, Callable[..., None]] = {
    "planes_from_pixels": planes_from_pixels,
    "pixels_from_planes": pixels_from_planes,
}
