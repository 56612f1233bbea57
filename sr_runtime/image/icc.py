"""Writing ICC profiles: three primaries, or gray, with a tone curve (ICC.1:1998-09, version 2.1).

Every program that manages colour reads version 2. Pillow writes profiles of sRGB alone.
"""

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Primaries", "gamma_curve", "gray_profile", "rgb_profile", "srgb_values", "table_curve"]

Point = tuple[float, float]

D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


class Primaries(NamedTuple):
    """CIE 1931 (x, y) of white and of the three primaries."""

    white: Point
    red: Point
    green: Point
    blue: Point


def rgb_profile(name: str, primaries: Primaries, curves: Sequence[bytes]) -> bytes | None:
    """The profile of RGB values; None if the primaries span no colours.

    Args:
        name: What programs show as the profile's name, in ASCII.
        curves: One for all channels, or one for each.
    """
    columns = _colorants(primaries)
    if columns is None:
        return None
    red, green, blue = curves if len(curves) == 3 else (curves[0],) * 3
    tags = {b"wtpt": _xyz(_white(primaries)), b"rTRC": red, b"gTRC": green, b"bTRC": blue}
    tags |= {name: _xyz(column) for name, column in zip(_COLORANTS, columns.T, strict=True)}
    return _profile(b"RGB ", name, tags)


def gray_profile(name: str, curve: bytes) -> bytes:
    """The profile of gray values, whose white is that of the screen."""
    return _profile(b"GRAY", name, {b"wtpt": _xyz(D50), b"kTRC": curve})


def gamma_curve(gamma: float) -> bytes:
    """Light as a power of the value, kept to 1/256."""
    if gamma == 1:
        return b"curv" + bytes(8)
    return struct.pack(">4s4xIH2x", b"curv", 1, round(gamma * 256))


def table_curve(values: NDArray[Any]) -> bytes:
    """Light at equal steps of the value, both in [0, 1]."""
    table = np.rint(np.clip(values, 0, 1) * 65535).astype(">u2").tobytes()
    return b"".join((struct.pack(">4s4xI", b"curv", len(values)), table, bytes(-len(table) % 4)))


def srgb_values(count: int) -> NDArray[Any]:
    """The light of sRGB's values at `count` equal steps (IEC 61966-2-1)."""
    value = np.linspace(0, 1, count)
    light: NDArray[Any] = np.where(
        value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4
    )
    return light


_COLORANTS = (b"rXYZ", b"gXYZ", b"bXYZ")


def _white(primaries: Primaries) -> NDArray[Any]:
    x, y = primaries.white
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _colorants(primaries: Primaries) -> NDArray[Any] | None:
    """XYZ of full red, green and blue as columns, adapted from the white point to D50."""
    if primaries.white[1] <= 0:
        return None
    chromaticities = np.array([(x, y, 1 - x - y) for x, y in primaries[1:]]).T
    if abs(np.linalg.det(chromaticities)) < 1e-4:
        return None
    white = _white(primaries)
    light = chromaticities * np.linalg.solve(chromaticities, white)
    cones = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    adapted: NDArray[Any] = np.linalg.solve(BRADFORD, cones @ BRADFORD @ light)
    return adapted if np.abs(adapted).max() < 4 else None


def _xyz(value: NDArray[Any]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * float(v)) for v in value))


def _profile(space: bytes, name: str, tags: dict[bytes, bytes]) -> bytes:
    text = name.encode("ascii", "replace") + b"\0"
    description = b"desc" + bytes(4) + struct.pack(">I", len(text)) + text + bytes(78)
    description += bytes(-len(description) % 4)
    tags = {
        b"desc": description,
        b"cprt": b"text" + bytes(4) + b"No copyright, use freely\0".ljust(28, b"\0"),
    } | tags
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        table += struct.pack(">4sII", tag, start + len(data), len(content))
        data += content
    size = start + len(data)
    header = struct.pack(">I4xI4s4s4s", size, 0x02100000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp")
    header += bytes(28) + _xyz(D50)[8:]
    return header.ljust(128, b"\0") + table + data
