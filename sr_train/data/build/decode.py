"""Decoding a pair to the pixels that are packed: 8 bits, sRGB, the channels of its data set."""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sr_runtime.errors import ImageError, OutOfMemoryError
from sr_runtime.image import read
from sr_runtime.image.color import in_srgb
from sr_runtime.resize import downscale
from sr_train.data.build.checks import Candidate

__all__ = ["Decoded", "decode", "read_in_srgb"]

Pixels = NDArray[np.uint8]

# Embedded profiles of sRGB itself change some values by 1 when they are rounded.
ROUNDING = 2


class Decoded(NamedTuple):
    """The pixels of a pair, both `(H, W, C)`."""

    hr: Pixels
    lr: Pixels
    converted: bool
    """Whether its colours were in another space than sRGB."""


def decode(candidate: Candidate, *, scale: int, channels: int) -> Decoded | ImageError:
    """HR and LR of a pair; gray becomes RGB for 3 channels. The error, if a file is damaged.

    Models see sRGB: colours of a file that states another space are converted to it.

    Raises:
        OutOfMemoryError: They do not fit into memory.
    """
    pair, (height, width) = candidate.pair, candidate.size
    try:
        hr, converted = read_in_srgb(pair.hr)
        lr, _ = (downscale(hr, scale), False) if pair.lr is None else read_in_srgb(pair.lr)
    except MemoryError as error:
        raise OutOfMemoryError(
            "not enough memory to decode and shrink it: use fewer --jobs, or remove it",
            path=pair.hr,
        ) from error
    except ImageError as error:
        return error
    for path, image, factor in ((pair.hr, hr, 1), (pair.lr, lr, scale)):
        shape = height // factor, width // factor
        if image.dtype != np.uint8 or image.shape not in ((*shape, 1), (*shape, channels)):
            return ImageError(
                f"its pixels have the shape {image.shape} of {image.dtype}, and its header says "
                "otherwise: save it again with another program",
                path=path,
            )
    hr, lr = (
        image if image.shape[2] == channels else np.repeat(image, channels, axis=2)
        for image in (hr, lr)
    )
    return Decoded(hr, lr, converted)


def read_in_srgb(path: Path) -> tuple[Pixels, bool]:
    """The pixels of a file in sRGB, and whether they had to be converted."""
    picture = read(path)
    frame, profile = picture.frames[0], picture.icc_profile
    channels = frame.shape[2]
    if profile is None or frame.dtype != np.uint8 or _is_srgb(profile, channels):
        return frame, False
    return in_srgb(frame, profile)[:, :, :channels], True


@lru_cache(8)
def _is_srgb(profile: bytes, channels: int) -> bool:
    """Whether the profile of gray or RGB changes next to nothing; so does a damaged one."""
    ramp = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(*[ramp] * channels), axis=-1).reshape(1, -1, channels)
    change = in_srgb(grid, profile)[:, :, :channels].astype(int) - grid
    return bool(np.abs(change).max() <= ROUNDING)
