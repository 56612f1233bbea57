"""Where tiles of a model may start, and how much context they need: a tile against the whole."""

import math
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends.probe.trial import ExhaustedError, Trial
from sr_runtime.errors import ModelError, OutOfMemoryError
from sr_runtime.model_info import DEFAULT_HALO, LIMITS, ModelInfo
from sr_runtime.tensor import from_range

__all__ = ["find_tiles"]

# Two starts whose greatest common divisor is their key: tiles that match the whole image at both
# match it at all multiples of the key.
STARTS = {
    1: (41, 43), 2: (46, 38), 4: (44, 52), 7: (49, 42), 8: (88, 56), 12: (60, 84), 16: (80, 112),
    24: (72, 120), 32: (160, 96), 48: (144, 240), 64: (64, 192), 128: (128, 256),
}  # fmt: skip

SIDE = 112
"""The length of the tiles that are compared with the whole image, at least."""
LONG_SIDE = 224
"""The same where nothing matches with the first: the network looks far, or at everything."""
THICKNESS = 24
"""The other side of the strips that are compared."""
BEYOND = 64
"""How far the whole image goes on behind the tile."""
NEAR = 16
"""How far it is of the tile's kind there."""
EVIDENCE = 4
"""So many LR pixels at least must match around the middle."""
MATCH = 1 / 255

Size = tuple[int, int]
_Pair = tuple[NDArray[np.float32], Size, Size, Size]
"""A picture, the size of the whole, and the start and the size of a tile in it."""


class _Comparison(NamedTuple):
    """How far a tile is from the whole image, or from another tile."""

    halo: int | None
    """LR pixels from a cut beyond which they match; None if they match nowhere."""
    error: float
    """The largest difference around the middle, where both have most context; or at a side, which
    a tile may share with the whole image while its opposite side is another."""


def find_tiles(trial: Trial, info: ModelInfo, sides: tuple[int | None, int | None]) -> ModelInfo:
    """`info` with its phase, halo, and error of tiles.

    Args:
        sides: The height and width that the model takes; None where it takes any.

    Raises:
        ModelError: No tile has room for context.
        BackendError, ExhaustedError, OutOfMemoryError: They cannot be measured.
    """
    least = min((side for side in sides if side is not None), default=4 * max(STARTS))
    if least < 4:
        raise ModelError(f"its input has a side of {least}, too little for a tile and its context")
    phases = [one for one in STARTS if one % info.multiple_of == 0 and one <= least // 4]
    strips = _Strips(trial, info, sides)
    tried: dict[int, _Comparison] = {}
    try:
        for phase in phases or [info.multiple_of]:
            # Among many phases, one may match by chance with tiles of one length, but not of two.
            by_chance = phase != info.multiple_of and None in sides
            tried[phase] = strips.compare(phase, *([SIDE, LONG_SIDE] if by_chance else [SIDE]))
            if tried[phase].halo is not None:
                with suppress(ExhaustedError, OutOfMemoryError):
                    tried[phase] = strips.with_opposite_side(phase, tried[phase])
                return _with_tiles(info, sides, phase, tried[phase])
    except (ExhaustedError, OutOfMemoryError):
        if not tried:
            raise
    least_error = min(found.error for found in tried.values())
    phase = next(one for one, found in tried.items() if found.error <= 1.1 * least_error)
    found = tried[phase]
    if None in sides:
        with suppress(ExhaustedError, OutOfMemoryError):
            found = strips.compare(phase, LONG_SIDE)
    return _with_tiles(info, sides, phase, found)


def _with_tiles(
    info: ModelInfo, sides: tuple[int | None, int | None], phase: int, found: _Comparison
) -> ModelInfo:
    halo = DEFAULT_HALO
    if found.halo is not None:
        # The picture that was tried has more contrast than a photo, which needs no more. A window
        # that a cut leaves incomplete is wrong as a whole.
        halo = max(found.halo + 1, phase if phase > info.multiple_of else 0)
    return replace(
        info,
        phase=phase,
        halo=min([-(-halo // 4) * 4, LIMITS["halo"], *(side // 4 for side in sides if side)]),
        tile_error=max(1 if found.error <= MATCH else 2, math.ceil(255 * min(found.error, 1))),
    )


class _Strips:
    """Narrow pictures along each axis, a tile of them, and the whole; or tiles of a fixed size."""

    def __init__(self, trial: Trial, info: ModelInfo, sides: tuple[int | None, int | None]) -> None:
        self._trial, self._info, self._sides = trial, info, sides
        # The last whole pictures, one along each axis, and the outputs for them.
        self._wholes = deque[tuple[NDArray[np.float32], NDArray[np.float32]]](maxlen=2)

    def compare(self, phase: int, *lengths: int) -> _Comparison:
        """The worst of tiles that begin at multiples of `phase` and are at least so long."""
        return self._worst(pair for length in lengths for pair in self._pairs(phase, length))

    def with_opposite_side(self, phase: int, found: _Comparison) -> _Comparison:
        """`found`, and how far pixels near a side change with those near the opposite one.

        They do where a network pads its input with the opposite side.
        """
        pairs = self._pairs(phase, SIDE)
        for axis, (image, whole, *_) in enumerate((pairs[0], pairs[-1])):
            image = image[: whole[0], : whole[1]]
            quarter, changed = whole[axis] // 4, image.copy()
            opposite = changed.swapaxes(0, axis)[-quarter:]
            opposite[...] = 1 - opposite
            with np.errstate(invalid="ignore"):  # infinity minus infinity
                difference = np.abs(self._whole_planes(image) - self._planes(changed))
            near = difference.swapaxes(1, 1 + axis)[:, : quarter * self._info.scale]
            found = found._replace(error=max(found.error, float(np.nan_to_num(near).max())))
        return found

    def _pairs(self, phase: int, length: int) -> list[_Pair]:
        height, width = self._sides
        if height is not None and width is not None:
            far = (max(1, height // 2 // phase) * phase, max(1, width // 2 // phase) * phase)
            inner = (_around(far[0], height), _around(far[1], width))
            end = far[0] + height, far[1] + width
            image = _picture(end, inner, self._info.in_channels)
            shifts = dict.fromkeys([(phase, phase), far])
            return [(image, (height, width), shift, (height, width)) for shift in shifts]
        return [self._strip(axis, phase, length) for axis in (0, 1)]

    def _strip(self, axis: int, phase: int, length: int) -> _Pair:
        multiple = self._info.multiple_of
        grid = math.lcm(multiple, phase)
        least = max(THICKNESS, phase, self._info.min_side)
        thickness = self._sides[1 - axis] or _round_up(least, multiple)
        if side := self._sides[axis]:
            whole, start, tile = side, max(1, side // 2 // phase) * phase, side
        else:
            # A network that pads its last window inside is worst off if it is almost complete.
            tile = _round_up(length, grid) - (multiple if phase > multiple else 0)
            start = STARTS[phase][axis] if phase in STARTS else phase
            whole = start + tile + _round_up(BEYOND, grid)
        shape = (max(whole, start + tile), thickness)
        sizes = (whole, thickness), (start, 0), (tile, thickness)
        inner = _around(start, min(whole, start + tile)), slice(None)
        image = _picture(shape, inner, self._info.in_channels)
        if axis == 1:
            image = image.swapaxes(0, 1)
            sizes = tuple((second, first) for first, second in sizes)  # type: ignore[assignment]
        return image, *sizes

    def _worst(self, pairs: Iterable[_Pair]) -> _Comparison:
        worst = _Comparison(0, 0)
        for pair in pairs:
            found = self._compare(*pair)
            if found.halo is None:
                return found
            worst = _Comparison(max(worst.halo or 0, found.halo), max(worst.error, found.error))
        return worst

    def _compare(
        self, image: NDArray[np.float32], whole: Size, start: Size, tile: Size
    ) -> _Comparison:
        """Compare the whole with a tile of `image` where they overlap."""
        scale = self._info.scale
        first = self._whole_planes(image[: whole[0], : whole[1]])
        second = self._planes(image[start[0] : start[0] + tile[0], start[1] : start[1] + tile[1]])
        both = [min(w, s + t) - s for w, s, t in zip(whole, start, tile, strict=True)]
        (height, width), (top, left) = both, start
        with np.errstate(invalid="ignore"):  # infinity minus infinity
            same = first[:, top * scale :, left * scale :][:, : height * scale, : width * scale]
            difference = np.abs(same - second[:, : height * scale, : width * scale])
        cells = difference.reshape(-1, height, scale, width, scale)
        error = np.nan_to_num(cells, nan=np.inf).max((0, 2, 4))
        # By distance from the cuts, which both axes have that the tile is moved along: the largest
        # difference there and farther from them.
        deepest = min(n // 2 for n, moved in zip(both, start, strict=True) if moved) - EVIDENCE
        beyond = []
        for at in range(max(deepest, 0) + 1):
            y, x = at * (top > 0), at * (left > 0)
            beyond.append(float(error[y : height - y, x : width - x].max()))
        halo = next((at for at, each in enumerate(beyond) if each <= MATCH), None)
        return _Comparison(halo, beyond[-1])

    def _whole_planes(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """The output for the whole picture, which several tiles may be compared with."""
        for known, planes in self._wholes:
            if np.array_equal(known, image):
                return planes
        self._wholes.append((image, self._planes(image)))
        return self._wholes[-1][1]

    def _planes(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        planes = self._trial.planes(self._info, image)
        return from_range(planes, self._info.output_range)


def _picture(shape: Size, inner: tuple[slice, slice], channels: int) -> NDArray[np.float32]:
    """Detail of all sizes, `(*shape, C)`, and outside of `inner` blocks of the strongest colours.

    So the whole image is as unlike a tile as can be, also in brightness, which a network that looks
    at everything shows.
    """
    random = np.random.default_rng(0)

    def noise(size: int) -> NDArray[np.float64]:
        coarse = random.standard_normal((-(-shape[0] // size), -(-shape[1] // size), channels))
        return coarse.repeat(size, axis=0).repeat(size, axis=1)[: shape[0], : shape[1]]

    outside = noise(4) > -0.7  # three of four blocks are bright
    image = outside.astype(np.float32)
    image[inner] = (0.5 + 0.4 * np.tanh(0.35 * sum(map(noise, (1, 2, 4, 8, 16)))))[inner]
    return image


def _around(begin: int, end: int) -> slice:
    return slice(max(0, begin - NEAR), end + NEAR)


def _round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
