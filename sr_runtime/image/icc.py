"""Colour spaces by primaries and tone curves, and ICC profiles of them (ICC.1:1998-09, v2.1).

Every program that manages colour reads version 2. Pillow writes only profiles of sRGB.
"""

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BT709",
    "SRGB_CURVE",
    "ColorSpace",
    "Curve",
    "Primaries",
    "colorants_of",
    "curve_tag",
    "light_of",
    "primaries_of",
    "profile_of",
    "profile_with",
]

Point = tuple[float, float]
Curve = float | NDArray[Any]
"""Light as a power of the value, or at equal steps of it; both in [0, 1]."""


class Primaries(NamedTuple):
    """CIE 1931 (x, y) of white and of the three primaries."""

    white: Point
    red: Point
    green: Point
    blue: Point


class ColorSpace(NamedTuple):
    """What values of RGB, or of gray, mean as light."""

    primaries: Primaries
    """Gray has those of BT.709."""
    curves: tuple[Curve, ...]
    """One for all channels, or one for each."""


def _srgb_curve() -> NDArray[Any]:
    """IEC 61966-2-1."""
    value = np.linspace(0, 1, 1024)
    light: NDArray[Any] = np.where(
        value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4
    )
    return light


BT709 = Primaries((0.3127, 0.3290), (0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
SRGB_CURVE = _srgb_curve()

D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def light_of(curve: Curve, values: NDArray[Any]) -> NDArray[Any]:
    """The light of values in [0, 1]."""
    light: NDArray[Any]
    if isinstance(curve, float):
        light = values**curve
    else:
        light = np.interp(values, np.linspace(0, 1, len(curve)), curve)
    return light


def primaries_of(numbers: Sequence[float]) -> Primaries:
    """From x and y of white, red, green and blue; those of BT.709 if they are close, or none."""
    points = [float(number) for number in numbers]
    if len(points) != 8 or not np.isfinite(points).all():
        return BT709
    primaries = Primaries(*zip(points[::2], points[1::2], strict=True))
    close = np.abs(np.array(primaries) - np.array(BT709)).max() < 0.001
    return BT709 if close else primaries


def profile_of(space: ColorSpace, *, channels: int) -> bytes | None:
    """The profile of gray (1 or 2 channels) or RGB in `space`.

    None for sRGB, and for primaries that make no colour space, as those that lie on one line.
    """
    usual = np.abs(np.array(space.primaries) - np.array(BT709)).max() < 0.001
    steps = np.linspace(0, 1, len(SRGB_CURVE))
    light = np.array([light_of(curve, steps) for curve in space.curves])
    if (channels < 3 or usual) and np.abs(light - SRGB_CURVE).max() < 0.005:
        return None
    curves = [curve_tag(curve) for curve in space.curves]
    if channels < 3:
        return profile_with(b"GRAY", {b"wtpt": _xyz(D50), b"kTRC": curves[0]})
    columns = colorants_of(space.primaries)
    if columns is None:
        return None
    red, green, blue = curves if len(curves) == 3 else (curves[0],) * 3
    tags = {b"wtpt": _xyz(_white(space.primaries)), b"rTRC": red, b"gTRC": green, b"bTRC": blue}
    names = (b"rXYZ", b"gXYZ", b"bXYZ")
    tags |= {name: _xyz(column) for name, column in zip(names, columns.T, strict=True)}
    return profile_with(b"RGB ", tags)


def _white(primaries: Primaries) -> NDArray[Any]:
    x, y = primaries.white
    return np.array([x / y, 1.0, (1 - x - y) / y])


def colorants_of(primaries: Primaries) -> NDArray[Any] | None:
    """XYZ of full red, green and blue as columns, adapted from the white point to D50."""
    if primaries.white[1] < 0.05:
        return None
    chromaticities = np.array([(x, y, 1 - x - y) for x, y in primaries[1:]]).T
    if abs(np.linalg.det(chromaticities)) < 1e-4:
        return None
    white = _white(primaries)
    light = chromaticities * np.linalg.solve(chromaticities, white)
    cones = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    adapted: NDArray[Any] = np.linalg.solve(BRADFORD, cones @ BRADFORD @ light)
    return adapted if np.abs(adapted).max() < 4 else None


def curve_tag(curve: Curve) -> bytes:
    """A curve as the content of a profile's tag."""
    if isinstance(curve, float):
        return struct.pack(">4s4xIH2x", b"curv", 1, round(curve * 256))
    table = np.rint(np.clip(curve, 0, 1) * 65535).astype(">u2").tobytes()
    return b"".join((struct.pack(">4s4xI", b"curv", len(curve)), table, bytes(-len(table) % 4)))


def _xyz(value: NDArray[Any]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * float(v)) for v in value))


def profile_with(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """A profile of "GRAY" or "RGB ", by its colorants and curves."""
    name = b"Colours that the file stated\0"
    description = b"desc" + bytes(4) + struct.pack(">I", len(name)) + name + bytes(78)
    tags = {
        b"desc": description + bytes(-len(description) % 4),
        b"cprt": b"text" + bytes(4) + b"No copyright, use freely\0".ljust(28, b"\0"),
    } | tags
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    places: dict[bytes, int] = {}
    for tag, content in tags.items():
        if content not in places:  # the three curves are mostly one
            places[content] = start + len(data)
            data += content
        table += struct.pack(">4sII", tag, places[content], len(content))
    header = struct.pack(">I4xI4s4s4s", start + len(data), 0x02100000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp")
    header += bytes(28) + _xyz(D50)[8:]
    return header.ljust(128, b"\0") + table + data
