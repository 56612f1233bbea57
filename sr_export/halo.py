"""The halo at which a tile matches the whole image."""

import copy
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sr_export.photos import SIDE, tensor_from_crop
from sr_runtime.errors import ModelError
from sr_train.models.generator import Generator

__all__ = ["LARGEST", "STEP", "WHOLE", "Core", "calibrate_halo"]

STEP = 8
CORE = 64
# The context of the core in a photo of 256×256, which stands for the whole image.
WHOLE = (SIDE - CORE) // 2
LARGEST = 64
# The search begins here, at the largest halo that an ESRGAN generator has needed so far.
FIRST = 40
# A tile that stands for the whole image has this much more halo than the tile it is compared with,
# and over it the effect of a cut falls to this share.
WIDER = 16
DECAY = 1 / 3


def calibrate_halo(
    generator: Generator,
    images: Sequence[NDArray[np.uint8]],
    *,
    progress: Callable[[float], None] = lambda _share: None,
) -> tuple[int, int]:
    """The smallest multiple of 8 at which tiles and whole images differ by at most 1/255, and 1.

    Where even 64, the largest halo that is tried, is not enough, 64 and the difference in 1/255;
    a warning tells of it. The generator has a receptive radius.

    Args:
        images: `(256, 256, C)`, as `calibration_images` returns them.
        progress: Called with the share of the images that is done.
    """
    generator = copy.deepcopy(generator).eval()
    generator.to(memory_format=generator.memory_format)  # type: ignore[call-overload]
    assert generator.receptive_radius is not None  # `measure_tiles` does without one
    exact = _rounded_up(generator.receptive_radius)
    halo, error = min(FIRST, exact), 1
    for number, pixels in enumerate(images):
        progress(number / len(images))
        core = Core(generator, pixels)
        if number == 0:
            core(halo + WIDER)  # first: one wide tile settles all smaller halos
            while halo > STEP and core.matches(halo - STEP):
                halo -= STEP
        while halo < min(exact, LARGEST) and not core.matches(halo):
            halo += STEP
        if halo < exact and not core.matches(halo):
            error = max(error, core.difference(halo))
    if error > 1:
        warnings.warn(
            f"even at a halo of {LARGEST} tiles differ from the whole image by {error}/255: seams "
            "may be visible unless images are upscaled with halo exact",
            RuntimeWarning,
            stacklevel=2,
        )
    return halo, error


class Core:
    """The output of a generator for the middle 64×64 of a photo, with more or less context.

    Most verdicts need no run of the whole photo, which costs as much as four tiles. A wider tile
    stands for it, if the verdict is the same for everything that the whole photo might give.
    """

    def __init__(self, generator: Generator, pixels: NDArray[np.uint8]) -> None:
        self._generator = generator
        self._pixels = pixels
        self._known: dict[int, NDArray[np.float32]] = {}
        radius = generator.receptive_radius
        self._most = WHOLE if radius is None else min(_rounded_up(radius), WHOLE)

    @torch.inference_mode()
    def __call__(self, halo: int) -> NDArray[np.float32]:
        """`(C, 64·scale, 64·scale)` in 0 to 255, not rounded."""
        halo = min(halo, self._most)  # more context changes nothing
        if halo not in self._known:
            margin, scale = WHOLE - halo, self._generator.scale_factor
            tile = self._pixels[margin : SIDE - margin, margin : SIDE - margin]
            batch = tensor_from_crop(tile).contiguous(memory_format=self._generator.memory_format)
            cut = slice(halo * scale, (halo + CORE) * scale)
            output = self._generator(batch)[0, :, cut, cut]
            if not output.isfinite().all():
                raise ModelError("its output holds NaN or infinity: its training diverged")
            self._known[halo] = (output.clamp(0, 1) * 255).numpy()
        return self._known[halo]

    def difference(self, halo: int) -> int:
        """Largest difference from the whole photo, in 1/255 after rounding."""
        return int(np.abs(np.rint(self(halo)) - np.rint(self(WHOLE))).max())

    def matches(self, halo: int) -> bool:
        """Whether a tile differs from the whole image by at most 1/255."""
        least = min(halo + WIDER, self._most)
        wider = min((known for known in self._known if known >= least), default=least)
        tile, reference = self(halo), self(wider)
        # How far the wider tile may be from the whole image, by measurement and not by proof: over
        # 16 pixels the effect of a cut fell to 0.26 or less in five generators; a third is allowed.
        margin = float(np.abs(tile - reference).max()) * DECAY ** ((wider - halo) / WIDER)
        # Equal tiles prove nothing where the network sees further than the wider one.
        if margin > 0 and self._generator.receptive_radius is not None:
            low = np.rint((reference - margin).clip(0, 255)) - np.rint(tile)
            high = np.rint((reference + margin).clip(0, 255)) - np.rint(tile)
            if max(high.max(), -low.min()) <= 1:
                return True
            if max(low.max(), -high.min()) > 1:
                return False
        return self.difference(halo) <= 1


def _rounded_up(radius: int) -> int:
    return -(-radius // STEP) * STEP
