"""How tiles of a network are to be cut, and how far they are from the whole image then."""

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sr_export.halo import LARGEST, STEP, WHOLE, Core, calibrate_halo
from sr_export.limits import MAX_FP32_ERROR
from sr_export.photos import SIDE
from sr_runtime.backends.out_of_memory import is_out_of_memory
from sr_runtime.backends.probe.tiles import find_tiles
from sr_runtime.backends.probe.trial import ExhaustedError, Trial
from sr_runtime.errors import ModelError
from sr_runtime.model_info import ModelInfo
from sr_train.models.generator import Generator

__all__ = ["TileFacts", "measure_tiles"]


@dataclass(frozen=True)
class TileFacts:
    """How tiles are cut: the facts of these names in `ModelInfo`."""

    halo: int
    phase: int = 1
    tile_error: int = 1


def measure_tiles(
    generator: Generator,
    images: Sequence[NDArray[np.uint8]],
    *,
    progress: Callable[[float], None] = lambda _share: None,
) -> TileFacts:
    """The halo, and where no receptive radius bounds what a network sees, the other facts too.

    The runtime's probe of unknown models finds where tiles may start, and how far they are from the
    whole image at the strongest contrast. Where they match it, the photos give the halo.

    Args:
        images: `(256, 256, C)`, as `calibration_images` returns them.
        progress: Called with the share of the work that is done.

    Raises ModelError if the network cannot be computed, or has another result each time.
    """
    if generator.receptive_radius is not None:
        halo, error = calibrate_halo(generator, images, progress=progress)
        return TileFacts(halo, tile_error=error)
    generator = copy.deepcopy(generator).eval()
    found = _probe(generator)
    grid = math.lcm(found.phase, generator.multiple_of)
    if WHOLE % grid or SIDE % generator.multiple_of:  # the photos do not fit
        return TileFacts(found.halo, found.phase, found.tile_error)
    halo, error, step = found.halo, found.tile_error, math.lcm(STEP, grid)
    if error == 1:
        halo = min(-(-halo // step), max(LARGEST // step, 1)) * step
    for number, pixels in enumerate(images):
        progress((1 + number) / (1 + len(images)))
        core = Core(generator, pixels)
        if number == 0 and error == 1:
            while halo > step and core.difference(halo - step) <= 1:
                halo -= step
        while core.difference(halo) > 1 and found.tile_error == 1 and halo + step <= LARGEST:
            halo += step
        error = max(error, core.difference(halo))
    return TileFacts(halo, found.phase, error)


def _probe(generator: Generator) -> ModelInfo:
    """The facts about tiles that the runtime would measure of an unknown model."""

    @torch.inference_mode()
    def run(batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        try:
            return [generator(torch.from_numpy(batch)).numpy()]
        # Each network raises what sizes that it did not expect lead it to.
        except Exception as error:
            if is_out_of_memory(error):
                raise
            raise ModelError(
                f"the network cannot be computed for a picture of {batch.shape[3]}×"
                f"{batch.shape[2]} pixels ({type(error).__name__}: "
                f"{' '.join(str(error).split())[:300]})"
            ) from error

    info = ModelInfo(
        arch=generator.arch,
        scale=generator.scale_factor,
        in_channels=generator.in_channels,
        out_channels=generator.out_channels,
        io="float32",
        weights_dtype="float32",
        multiple_of=generator.multiple_of,
        min_side=generator.min_side,
    )
    _require_one_result(run, info)
    try:
        return find_tiles(Trial(run, 1), info, (None, None))
    except ExhaustedError as error:
        raise ModelError(
            "the network is too slow, or its multiple of pixels too large, to find how its tiles "
            "must be cut: take a smaller variant of it"
        ) from error


def _require_one_result(run: Callable[[NDArray[np.float32]], Any], info: ModelInfo) -> None:
    """Raise ModelError if the network draws random numbers: nothing can be compared with it."""
    side = -(-max(info.min_side, 16) // info.multiple_of) * info.multiple_of
    gray = np.full((1, info.in_channels, side, side), 0.5, np.float32)
    (first,), (second,) = run(gray), run(gray)
    if (difference := float(np.abs(first - second).max())) > MAX_FP32_ERROR:
        raise ModelError(
            f"the network draws random numbers: two results for the same picture differ by "
            f"{difference:.1g}, where 1 is white, so no file can be compared with it: take a model "
            "without random noise"
        )
