"""Probes the facts of a model file that does not state them: anyone else's ONNX export."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends.base import Limits
from sr_runtime.errors import BackendError, ModelError
from sr_runtime.model_info import DEFAULT_HALO, IO, ModelInfo

__all__ = ["declared_limits", "probe_info"]

# Sides divisible by their key and by no larger key.
PROBE_SIDES = {1: 33, 2: 34, 4: 36, 8: 40, 16: 48, 32: 64}

UNLIMITED = 1 << 16


def probe_info(
    run: Callable[[NDArray[np.float32]], NDArray[Any]], shape: Sequence[int | None], dtype: str
) -> ModelInfo:
    """Find scale, channels and `multiple_of` by running the model on small inputs.

    Args:
        run: Infers one `(N, C, H, W)` batch; raises BackendError if the engine refuses it.
        shape: The model's declared input shape; None where it is dynamic.
        dtype: The model's input type.

    Raises:
        ModelError: The file is not a super-resolution model.
    """
    if len(shape) != 4 or dtype not in ("float32", "float16"):
        raise ModelError(
            f"not a super-resolution model: its input is {_text(shape)} {dtype}, "
            "expected N×C×H×W float32 or float16"
        )
    batch, channels = shape[0] or 1, shape[1] or 3
    if channels not in (1, 3):
        raise ModelError(
            f"not a usable super-resolution model: it takes {channels} channels, and only 1 (gray) "
            "or 3 (RGB) are supported"
        )
    seen = ""
    for multiple, side in PROBE_SIDES.items():
        height, width = shape[2] or side, shape[3] or side
        try:
            output = run(np.full((batch, channels, height, width), 0.5, np.float32)).shape
        except BackendError as error:
            seen = f"; {error}"
            continue
        scale = output[-1] // width
        if scale and output == (batch, channels, height * scale, width * scale):
            return ModelInfo(
                arch="unknown",
                scale=scale,
                in_channels=channels,
                out_channels=channels,
                io="float32",
                weights_dtype=dtype,
                multiple_of=multiple if None in shape[2:] else 1,
                # It must fit into the tiles of a model of fixed size.
                halo=min([DEFAULT_HALO, *(side // 4 for side in shape[2:] if side)]),
                assumed=("scale", "weights_dtype", "multiple_of", "halo"),
            )
        seen = f"; {_text((batch, channels, height, width))} gave {_text(output)}"
    raise ModelError(
        f"not a super-resolution model: for an input of {_text(shape)} its output is not "
        f"a picture enlarged by a whole factor{seen}"
    )


def declared_limits(
    shape: Sequence[int | None], io: IO, *, depth: int, shape_cost: int = 0
) -> Limits:
    """The limits that follow from a model's declared input shape, in which None is dynamic."""
    batch = shape[0]
    height, width = shape[1:3] if io == "uint8" else shape[2:4]
    fixed = height is not None or width is not None
    return Limits(
        min_tile=(height or 1, width or 1),
        max_tile=(height or UNLIMITED, width or UNLIMITED) if fixed else None,
        batch=batch or 1,
        fixed_batch=batch is not None,
        depth=depth,
        shape_cost=shape_cost,
    )


def _text(shape: Sequence[int | None]) -> str:
    return "×".join("?" if side is None else str(side) for side in shape) or "a scalar"
