"""The facts of a model file that does not state them: from the cache, or measured now."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sr_runtime.backends.probe.cache import cached_facts, keep_facts
from sr_runtime.backends.probe.sizes import find_sizes
from sr_runtime.backends.probe.tiles import find_tiles
from sr_runtime.backends.probe.trial import ExhaustedError, Run, Trial
from sr_runtime.backends.probe.values import find_ranges
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError
from sr_runtime.model_info import ModelInfo

__all__ = ["probe_info"]

SIZES = ("scale", "in_channels", "out_channels", "multiple_of", "layout", "output", "fixed_side")
RANGES = ("input_range", "output_range")
TILES = ("phase", "halo", "tile_error")


def probe_info(model: Path, run: Run, shape: Sequence[int | None], dtype: str) -> ModelInfo:
    """Measure the facts of a model, within the bound of `Trial`, or take them from the cache.

    Args:
        model: The file; its content identifies it in the cache.
        run: Infers a batch in FP32 or in the file's own precision: rounding to bf16 would look
            like a difference between tiles.
        shape: The model's declared input shape; None where it is dynamic.
        dtype: The model's input type.

    Raises:
        ModelError: The file is not a super-resolution model.
    """
    if (known := cached_facts(model, shape, dtype)) is not None:
        return known
    trial = Trial(run, shape[0] or 1 if shape else 1)
    measured, assumed = list(SIZES), ["weights_dtype"]
    try:
        found = find_sizes(trial, shape, dtype)
    except ExhaustedError as error:
        raise ModelError("not a super-resolution model: no input size gives a picture") from error
    try:
        info = find_ranges(trial, found)
    except (BackendError, ExhaustedError):
        info = None
    if info is None:
        warnings.warn(
            "the network does not return the picture that it is shown in any value range ([0, 1], "
            "[0, 255], [-1, 1]), so that [0, 1] is assumed: check the colours of a result",
            RuntimeWarning,
            stacklevel=2,
        )
    (assumed if info is None else measured).extend(RANGES)
    info = info or found.info
    sides = _sides(info, shape)
    try:
        info = find_tiles(trial, info, sides)
        measured += TILES
    except (BackendError, ExhaustedError, OutOfMemoryError):
        assumed += TILES
        info = _with_assumed_tiles(info, sides)
    info = replace(info, measured=tuple(measured), assumed=tuple(assumed))
    keep_facts(model, shape, dtype, info)
    return info


def _sides(info: ModelInfo, shape: Sequence[int | None]) -> tuple[int | None, int | None]:
    height, width = shape[2:4] if info.layout == "NCHW" else shape[1:3]
    return height or info.fixed_side, width or info.fixed_side


def _with_assumed_tiles(info: ModelInfo, sides: tuple[int | None, int | None]) -> ModelInfo:
    """Blocks and windows are mostly powers of two that divide a fixed side."""
    fixed = [side for side in sides if side is not None]
    phase = min((side & -side for side in fixed), default=info.multiple_of)
    return replace(
        info,
        phase=min([phase, *(side // 4 for side in fixed)]) or 1,
        halo=min([info.halo, *(side // 4 for side in fixed)]),
    )
