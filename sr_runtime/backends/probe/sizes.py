"""Layout, scale, and the sizes that a model takes: found by running it on two sizes at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends.base import UnreadableModelError
from sr_runtime.backends.probe.trial import Trial, planes_of
from sr_runtime.backends.stated import shape_text
from sr_runtime.errors import BackendError, ModelError
from sr_runtime.model_info import LIMITS, Layout, ModelInfo, ValueRange

__all__ = ["Found", "find_sizes"]

# Sides by the largest of these numbers that divides them: the first witness for each of them. The
# second is the next multiple. Each axis has both of them.
SIDES = {
    1: 33, 2: 34, 4: 36, 7: 35, 8: 40, 12: 36, 16: 80, 24: 72, 32: 32, 48: 48, 64: 64, 128: 128,
}  # fmt: skip

# Exports that declare any size often have the size of their example inside.
EXAMPLES = (64, 128, 256, 32, 48, 96, 192, 224, 320, 384, 512, 16)


class Found(NamedTuple):
    """The facts of a model so far, and what it made of a picture."""

    info: ModelInfo
    image: NDArray[np.float32]
    """`(H, W, C)`, in [0, 1]."""
    planes: NDArray[np.float32]
    """`(C, scale·H, scale·W)`, in a range that is not known yet."""


def find_sizes(trial: Trial, shape: Sequence[int | None], dtype: str) -> Found:
    """A model's layout, channels, scale, picture, and the sizes that it takes.

    Args:
        shape: Its declared input shape; None where it is dynamic.

    Raises:
        ModelError: It is not a super-resolution model.
        UnreadableModelError: This engine runs it at no size.
    """
    seen = ""
    refused = ""
    for layout, channels in _layouts(shape, dtype):
        info = ModelInfo(
            arch="unknown", scale=1, in_channels=channels, out_channels=channels, io="float32",
            weights_dtype=dtype, layout=layout,
        )  # fmt: skip
        height, width = _sides(shape, layout)
        fixed = None not in (height, width)
        for multiple, side in ({1: 0} if fixed else SIDES).items():
            first = height or side, width or side + multiple
            second = height or side + multiple, width or side
            try:
                found, seen = _at_size(trial, info, first)
                if found is not None and second != first:
                    found, seen = _at_size(trial, info, second)
            except BackendError as error:
                refused = str(error)
                continue
            if found is not None:
                return found._replace(info=replace(found.info, multiple_of=multiple))
        if refused and height is None and width is None:
            for side in EXAMPLES:
                try:
                    found, _ = _at_size(trial, info, (side, side))
                except BackendError:
                    continue
                if found is not None:
                    return found._replace(info=replace(found.info, fixed_side=side))
    if not seen:
        tried = "" if fixed else f" that was tried ({', '.join(map(str, SIDES.values()))})"
        raise UnreadableModelError(f"it runs at no input size{tried}: {refused}")
    raise ModelError(
        f"not a super-resolution model: for an input of {shape_text(shape)} its output is not "
        f"a picture enlarged by a whole factor; {seen}"
    )


def _picture(height: int, width: int, channels: int) -> NDArray[np.float32]:
    """Ramps from dark to bright, in another direction in each channel; steps of them below."""
    down, across = np.mgrid[:height, :width].astype(np.float32)
    down, across = down / max(height - 1, 1), across / max(width - 1, 1)
    ramps = np.stack([across, 1 - across, down], axis=2)
    ramps[height // 2 :] = np.rint(ramps[height // 2 :] * 4) / 4
    return (0.1 + 0.8 * ramps[:, :, :channels]).astype(np.float32)


def _at_size(trial: Trial, info: ModelInfo, size: tuple[int, int]) -> tuple[Found | None, str]:
    """The facts if an output at this size is the picture, enlarged; and what the outputs were.

    Of several, the most enlarged is the result; others are of stages before it.
    """
    height, width = size
    trial.check(height, width)  # before a picture of it is made
    image = _picture(height, width, info.in_channels)
    outputs = trial.outputs(info, image)
    best: ModelInfo | None = None
    for number, output in enumerate(outputs):
        of_pixels = output.dtype == np.uint8
        if output.ndim != 4 or not (of_pixels or output.dtype.kind == "f"):
            continue
        _, second, third, last = output.shape
        orders = {"NCHW": (second, third, last), "NHWC": (last, second, third)}
        for layout, (channels, rows, columns) in orders.items():
            scale = columns // width
            enlarged = scale > 0 and (rows, columns) == (height * scale, width * scale)
            if not enlarged or channels != info.out_channels:
                continue
            if layout != info.layout:
                raise ModelError(
                    f"its input is {info.layout} and its output {layout}: export it with one layout"
                )
            if scale > LIMITS["scale"]:
                raise ModelError(
                    f"it enlarges {scale} times, and {LIMITS['scale']} times is the most"
                )
            if best is None or scale > best.scale:
                values: ValueRange = "0..255" if of_pixels else "0..1"
                best = replace(info, scale=scale, output=number, output_range=values)
    if best is not None:
        return Found(best, image, planes_of(best, outputs)), ""
    shapes = " and ".join(f"{shape_text(one.shape)} {one.dtype}" for one in outputs) or "nothing"
    return None, f"{height}×{width} gave {shapes}"


def _layouts(shape: Sequence[int | None], dtype: str) -> Iterator[tuple[Layout, int]]:
    """The layouts and channels that a declared shape allows, the likeliest first."""
    if len(shape) != 4 or 0 in shape or dtype not in ("float32", "float16"):
        raise ModelError(
            f"not a super-resolution model: its input is {shape_text(shape)} {dtype}, "
            "expected N×C×H×W or N×H×W×C, none of them 0, in float32 or float16"
        )
    first, last = shape[1], shape[3]
    if first in (1, 3):
        yield "NCHW", first
    elif last in (1, 3):
        yield "NHWC", last
    elif first is None and last is None:
        yield from (("NCHW", 3), ("NHWC", 3), ("NCHW", 1), ("NHWC", 1))
    else:
        raise ModelError(
            f"not a usable super-resolution model: its input is {shape_text(shape)}, which takes "
            f"{first or last} channels, and only 1 (gray) or 3 (RGB) are supported"
        )


def _sides(shape: Sequence[int | None], layout: Layout) -> tuple[int | None, int | None]:
    return (shape[2], shape[3]) if layout == "NCHW" else (shape[1], shape[2])
