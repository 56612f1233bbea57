"""Image ↔ model tensor: layout, scale, clamp, rounding, and the check for NaN and infinity.

An image is `(H, W, C)`, gray or RGB: uint8, uint16, or float32 in [0, 1]. A tensor is laid out as
`ModelInfo.io` says. A gray image goes through an RGB model as R = G = B, and the output becomes
gray again with the luma weights of BT.601.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError, ModelError, NonFiniteError
from sr_runtime.model_info import IO, ModelInfo, ValueRange

__all__ = [
    "check_finite",
    "check_image",
    "check_outputs",
    "float_planes",
    "from_range",
    "planes_from_output",
    "tensor_from_tiles",
    "write_planes",
]

NON_FINITE = "the network returned NaN or infinity"

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, full range
BLACK_AND_WHITE: dict[ValueRange, tuple[int, int]] = {
    "0..1": (0, 1),
    "0..255": (0, 255),
    "-1..1": (-1, 1),
}
# backends/cuda/pixels.cu does the same on a GPU: change neither alone.


def check_image(image: NDArray[Any], info: ModelInfo) -> None:
    """Raise ArgumentError if the model cannot take the colour planes of `(H, W, C)`."""
    channels = image.shape[2]
    if channels not in (1, info.in_channels):
        raise ArgumentError(
            f"the model takes {info.in_channels} channel(s) and the image has {channels} colour "
            "channels: convert the image to gray, or use an RGB model"
        )
    if info.io == "uint8" and image.dtype != np.uint8:
        raise ArgumentError(
            f"the image is {image.dtype} and the model takes only uint8 (its io): use a model that "
            "was exported with --io float32, or convert the image to 8 bits"
        )


def tensor_from_tiles(
    tiles: Sequence[NDArray[Any]], info: ModelInfo, *, pixels: bool = False
) -> NDArray[Any]:
    """Stack `(h, w, C)` tiles into the model's input batch, as `info.io` lays it out.

    Args:
        pixels: Only stack them: the engine converts them itself (`Limits.pixels`).
    """
    batch = np.stack(tiles)
    if pixels:
        return batch
    if batch.shape[3] < info.in_channels:
        batch = np.repeat(batch, info.in_channels, axis=3)
    if info.io == "uint8":
        return batch
    if info.layout == "NCHW":
        batch = np.ascontiguousarray(batch.transpose(0, 3, 1, 2))
    if batch.dtype != np.float32:
        batch = np.divide(batch, _white(batch.dtype), dtype=np.float32)
    return batch if info.input_range == "0..1" else _to_range(batch, info.input_range)


def planes_from_output(output: NDArray[Any], info: ModelInfo) -> NDArray[Any]:
    """View an engine's output batch, of planes or of pixels, as `(N, C, h, w)`."""
    if info.io == "float32" and not info.is_plain:
        planes = output.transpose(0, 3, 1, 2) if info.layout == "NHWC" else output
        return from_range(planes.astype(np.float32, copy=False), info.output_range)
    pixels = info.io == "uint8" or output.dtype.kind == "u"
    return output.transpose(0, 3, 1, 2) if pixels else output


def float_planes(planes: NDArray[Any]) -> NDArray[np.float32]:
    """Convert uint8 or float planes to float32, where 1 is white."""
    if planes.dtype == np.uint8:
        planes = planes / np.float32(255)
    return planes.astype(np.float32, copy=False)


def _to_range(tensor: NDArray[np.float32], values: ValueRange) -> NDArray[np.float32]:
    black, white = BLACK_AND_WHITE[values]
    return tensor * np.float32(white - black) + np.float32(black)


def from_range(tensor: NDArray[np.float32], values: ValueRange) -> NDArray[np.float32]:
    """Map a tensor's values so that black is 0 and white is 1."""
    black, white = BLACK_AND_WHITE[values]
    if (black, white) == (0, 1):
        return tensor
    return (tensor - np.float32(black)) / np.float32(white - black)


def check_finite(planes: NDArray[Any]) -> None:
    """Raise NonFiniteError if float planes hold NaN or infinity."""
    # Reductions propagate NaN and, unlike isfinite().all(), allocate nothing.
    if not (np.isfinite(planes.min()) and np.isfinite(planes.max())):
        raise NonFiniteError(NON_FINITE)


def check_outputs(outputs: Sequence[NDArray[Any]], io: IO, output: int = 0) -> NDArray[Any]:
    """Return the image, output number `output`. A uint8 model's second says whether it is finite.

    Raises:
        NonFiniteError: It is not; a float32 model's image is checked by `check_finite`.
        ModelError: There is no such output.
    """
    needed = 2 if io == "uint8" else output + 1
    if len(outputs) < needed:
        raise ModelError(
            f"the model has {len(outputs)} outputs, and its facts say {needed}: export it again"
        )
    if io == "uint8" and not outputs[1].all():
        raise NonFiniteError(NON_FINITE)
    return outputs[output]


def write_planes(planes: NDArray[Any], image: NDArray[Any]) -> None:
    """Write `(C, h, w)` planes into the `(h, w, C)` view `image`, clamped; integers are rounded."""
    unchanged = planes.dtype.kind == "u" and planes.dtype == image.dtype
    if unchanged and len(planes) == image.shape[2]:
        image[...] = planes.transpose(1, 2, 0)
        return
    planes = float_planes(planes)
    if len(planes) > image.shape[2]:
        red, green, blue = planes
        planes = (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue)[np.newaxis]
    white = _white(image.dtype)
    for channel, plane in enumerate(planes):
        scaled = plane * white
        if image.dtype.kind == "u":
            np.rint(scaled, out=scaled)
        np.clip(scaled, 0, white, out=scaled)
        image[:, :, channel] = scaled


def _white(dtype: np.dtype[Any]) -> np.float32:
    """The value of white in an image."""
    return np.float32(1 if dtype.kind == "f" else np.iinfo(dtype).max)
