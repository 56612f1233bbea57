"""The tone curves of an embedded ICC profile (ICC.1:2022, 10.6 and 10.18), and others instead."""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.image.icc import (
    BT709,
    SRGB_CURVE,
    Curve,
    colorants_of,
    curve_tag,
    light_of,
    profile_with,
)

__all__ = ["curves_of", "with_srgb_curve"]

MOST_TAGS = 100
CURVES = {b"GRAY": (b"kTRC",), b"RGB ": (b"rTRC", b"gTRC", b"bTRC")}
POINTS = {b"GRAY": (b"wtpt",), b"RGB ": (b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ")}
COLORANTS_OF_SRGB: Any = colorants_of(BT709)


def curves_of(profile: bytes) -> tuple[Curve, ...] | None:
    """The curve of gray, or those of red, green and blue.

    None if the profile is damaged, has tables of colours, which count before its curves, or has a
    curve that does not lead from black to full light.
    """
    tags, space = _tags(profile), profile[16:20]
    if profile[20:24] != b"XYZ " or any(name.startswith((b"A2B", b"D2B")) for name in tags):
        return None
    if any(len(tags.get(name, b"")) != 20 for name in POINTS[space]):
        return None
    curves = []
    for name in CURVES[space]:
        curve = _curve(tags.get(name, b""))
        if curve is None:
            return None
        black, full = light_of(curve, np.array([0.0, 1.0]))
        if not (black < 0.1 and full > 0.9):
            return None
        curves.append(curve)
    return tuple(curves)


def with_srgb_curve(profile: bytes) -> bytes | None:
    """The profile of the same gray or primaries with sRGB's curve; None where that is sRGB."""
    space = profile[16:20]
    if space == b"GRAY":
        return None
    tags = _tags(profile)
    points = {name: tags[name] for name in POINTS[space]}
    _, *colorants = (np.frombuffer(tag, ">i4", 3, 8) / 65536 for tag in points.values())
    if np.allclose(np.column_stack(colorants), COLORANTS_OF_SRGB, atol=0.002):
        return None
    return profile_with(space, points | dict.fromkeys(CURVES[space], curve_tag(SRGB_CURVE)))


def _tags(profile: bytes) -> dict[bytes, bytes]:
    count = min(int.from_bytes(profile[128:132]), MOST_TAGS)
    table = profile[132 : 132 + 12 * count]
    entries = struct.iter_unpack(">4sII", table[: len(table) // 12 * 12])
    return {name: profile[start : start + size] for name, start, size in entries}


def _curve(tag: bytes) -> Curve | None:
    kind, count = tag[:4], int.from_bytes(tag[8:12])
    if kind == b"para":
        return _parametric(tag)
    if kind != b"curv" or len(tag) < 12 + 2 * count:
        return None
    numbers = np.frombuffer(tag, ">u2", count, 12)
    if count < 2:
        return float(numbers[0]) / 256 if count else 1.0
    return numbers / 65535


def _parametric(tag: bytes) -> NDArray[Any] | None:
    """A curve by formula: (ax + b)^g + e from d on, and cx + f below."""
    kind = int.from_bytes(tag[8:10])
    numbers = np.frombuffer(tag[12 : len(tag) // 4 * 4], ">i4") / 65536
    if kind > 4 or len(numbers) < (1, 3, 4, 5, 7)[kind]:
        return None
    g, a, b, c, d, e, f = (*numbers[:7], *[0.0] * 7)[:7]
    if kind == 0:
        a, b = 1.0, 0.0
    if kind < 3:
        e = f = c if kind == 2 else 0.0
        c, d = 0.0, -b / a if a else 0.0
    if kind == 3:
        e = f = 0.0
    x = np.linspace(0, 1, len(SRGB_CURVE))
    light: NDArray[Any] = np.where(x >= d, (a * x + b).clip(0) ** g + e, c * x + f)
    return light.clip(0, 1) if np.isfinite(light).all() else None
