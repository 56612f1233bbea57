"""The facts of a model file that does not state them: from the cache, or measured now."""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from sr_runtime.backends.probe.cache import cached_facts, keep_facts
from sr_runtime.backends.probe.sizes import Found, find_sizes
from sr_runtime.backends.probe.tiles import find_tiles
from sr_runtime.backends.probe.trial import LARGEST, ExhaustedError, Run, Trial
from sr_runtime.backends.probe.values import find_ranges
from sr_runtime.backends.stated import shape_text
from sr_runtime.errors import BackendError, ModelError
from sr_runtime.model_info import ModelInfo

__all__ = ["WHY_ASSUMED", "probe_info"]

SIZES = (
    "scale", "in_channels", "out_channels", "io", "multiple_of", "layout", "output", "fixed_side",
)  # fmt: skip
RANGES = ("input_range", "output_range")
TILES = ("phase", "halo", "tile_error")

WHY_ASSUMED = {
    "input_range": "the network does not return the picture that it is shown in any value range "
    "([0, 1], [0, 255], [-1, 1]), so that the likeliest is assumed: check the colours of a result",
    "halo": "the network's tiles cannot be measured, because it refuses the sizes for that, or its "
    "runs take too long or too much memory: their phase and halo are assumed: look for seams in a "
    "result",
}
"""The warning for facts that are assumed together, by the name of one of them."""

SAME = 1 / 255
"""The largest difference, as a share of the range of the picture, between runs on one image."""


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
    info = cached_facts(model, shape, dtype)
    if info is None:
        info = _measured(Trial(run, shape[0] or 1 if shape else 1), shape, dtype)
        keep_facts(model, shape, dtype, info)
    for fact, words in WHY_ASSUMED.items():
        if fact in info.assumed:
            warnings.warn(words, RuntimeWarning, stacklevel=2)
    return info


def _measured(trial: Trial, shape: Sequence[int | None], dtype: str) -> ModelInfo:
    measured, assumed = list(SIZES), ["weights_dtype", "min_side"]
    try:
        found = find_sizes(trial, shape, dtype)
    except ExhaustedError as error:
        raise ModelError(
            f"its input is {shape_text(shape)}, and at most {LARGEST} pixels are tried"
        ) from error
    with suppress(BackendError, ExhaustedError):
        _check_same_again(trial, found)
    info, certain = found.info, False
    with suppress(BackendError, ExhaustedError):
        info, certain = find_ranges(trial, found)
    (measured if certain else assumed).extend(RANGES)
    sides = info.only_size(shape)
    try:
        info = find_tiles(trial, info, sides)
        measured += TILES
    except (BackendError, ExhaustedError, MemoryError):
        assumed += TILES
        info = _with_assumed_tiles(info, sides)
    return replace(info, measured=tuple(measured), assumed=tuple(assumed))


def _check_same_again(trial: Trial, found: Found) -> None:
    """Raise ModelError if the network makes another picture of the same image each time."""
    again = trial.planes(found.info, found.image)
    with np.errstate(all="ignore"):
        difference = np.abs(again - found.planes).max() / np.ptp(found.planes)
    if difference > SAME:
        raise ModelError(
            f"two runs on one image differ by {difference:.0%} of its range: the network adds "
            "noise, or was exported in training mode: call model.eval(), and export it again"
        )


def _with_assumed_tiles(info: ModelInfo, sides: tuple[int | None, int | None]) -> ModelInfo:
    """Blocks and windows are mostly powers of two that divide a fixed side."""
    fixed = [side for side in sides if side is not None]
    phase = min((side & -side for side in fixed), default=info.multiple_of)
    return replace(
        info,
        phase=min([phase, *(side // 4 for side in fixed)]) or 1,
        halo=min([info.halo, *(side // 4 for side in fixed)]),
    )
