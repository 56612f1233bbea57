"""Image ↔ model tensor: layout, scale, clamp, rounding, and the check for NaN and infinity.

An image is `(H, W, C)` uint8 or uint16; a tensor is what `ModelInfo.io` says. A gray image goes
through an RGB model as R = G = B, and its output becomes gray again by the BT.601 luma weights.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError, NonFiniteError
from sr_runtime.model_info import IO, ModelInfo

__all__ = [
    "check_finite",
    "check_image",
    "float_planes",
    "picture_of",
    "planes_from_output",
    "tensor_from_tiles",
    "write_planes",
]

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, full range


def check_image(image: NDArray[Any], info: ModelInfo) -> None:
    """Raise ArgumentError if the model cannot take the colour planes of `(H, W, C)`."""
    channels = image.shape[2]
    if channels not in (1, info.in_channels):
        raise ArgumentError(
            f"the model takes {info.in_channels} channel(s) and the image has {channels} colour "
            "channels: convert the image to gray, or take an RGB model"
        )
    if info.io == "uint8" and image.dtype != np.uint8:
        raise ArgumentError(
            "the image has 16 bits and the model takes 8 (io is uint8): use a model exported with "
            "--io float32, or convert the image to 8 bits"
        )


def tensor_from_tiles(tiles: Sequence[NDArray[Any]], info: ModelInfo) -> NDArray[Any]:
    """Stack `(h, w, C)` tiles into the model's input batch, as `info.io` lays it out."""
    batch = np.stack(tiles)
    if batch.shape[3] < info.in_channels:
        batch = np.repeat(batch, info.in_channels, axis=3)
    if info.io == "uint8":
        return batch
    peak = np.float32(np.iinfo(batch.dtype).max)
    planes = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
    tensor: NDArray[np.float32] = np.divide(planes, peak, dtype=np.float32)
    return tensor


def planes_from_output(output: NDArray[Any], info: ModelInfo) -> NDArray[Any]:
    """A view of the model's output batch as `(N, C, h, w)`, whichever io it has."""
    return output.transpose(0, 3, 1, 2) if info.io == "uint8" else output


def float_planes(planes: NDArray[Any]) -> NDArray[np.float32]:
    """Planes of either type as float32, 1 being white."""
    if planes.dtype == np.uint8:
        planes = planes / np.float32(255)
    return planes.astype(np.float32, copy=False)


def check_finite(planes: NDArray[Any]) -> None:
    """Raise NonFiniteError for float planes that hold NaN or infinity."""
    # Reductions propagate NaN, and unlike isfinite().all() they need no array of their own.
    if not (np.isfinite(planes.min()) and np.isfinite(planes.max())):
        raise _non_finite_error()


def picture_of(outputs: Sequence[NDArray[Any]], io: IO) -> NDArray[Any]:
    """A model's first output; a uint8 model says in the second whether its floats were finite."""
    if io == "uint8" and not outputs[1].all():
        raise _non_finite_error()
    return outputs[0]


def _non_finite_error() -> NonFiniteError:
    return NonFiniteError(
        "the network returned NaN or infinity: its weights are damaged or overflow in reduced "
        "precision; try precision fp32, and check the file with `python -m sr_export verify`"
    )


def write_planes(planes: NDArray[Any], image: NDArray[Any]) -> None:
    """Write `(C, h, w)` planes into the `(h, w, C)` view `image`, clamped and rounded."""
    if planes.dtype == np.uint8 and len(planes) == image.shape[2]:
        image[...] = planes.transpose(1, 2, 0)
        return
    planes = float_planes(planes)
    if len(planes) > image.shape[2]:
        planes = np.tensordot(LUMA, planes, 1)[np.newaxis]
    peak = np.float32(np.iinfo(image.dtype).max)
    for channel, plane in enumerate(planes):
        scaled = plane * peak
        np.rint(scaled, out=scaled)
        np.clip(scaled, 0, peak, out=scaled)
        image[:, :, channel] = scaled
