"""Colours that a file states and Pillow leaves out."""

import re
import struct

import numpy as np
from PIL import Image

from sr_runtime.image.bit_depth import file_bytes
from sr_runtime.image.icc import BT709, SRGB_CURVE, ColorSpace, Curve, primaries_of

__all__ = ["state_colors"]

CALIBRATED = bytes(4)
"""A BMP's colours by numbers (LCS_CALIBRATED_RGB)."""


def state_colors(image: Image.Image) -> None:
    """Note in `info` what Pillow leaves out: `cicp`, `color_space` (as of icc.py), and profiles.

    Call it before the pixels are loaded.
    """
    info = image.info
    match image.format:
        case "AVIF":
            if nclx := re.search(rb"colrnclx(....)", file_bytes(image), re.DOTALL):
                info["cicp"] = struct.unpack(">HH", nclx[1])
        case "HEIF":
            if nclx := info.get("nclx_profile"):
                info["cicp"] = nclx["color_primaries"], nclx["transfer_characteristics"]
        case "JPEG2000":
            box = re.search(rb"(....)colr\x02..", file_bytes(image), re.DOTALL)
            if box and (profile := _profile_in_box(box)):
                info["icc_profile"] = profile
        case "BMP":
            _state_bmp(image)


def _profile_in_box(box: re.Match[bytes]) -> bytes | None:
    """What follows the head of a JPEG 2000's box colr."""
    size = int.from_bytes(box[1]) - 11
    profile = box.string[box.end() : box.end() + size]
    return profile if len(profile) == size and profile[36:40] == b"acsp" else None


def _state_bmp(image: Image.Image) -> None:
    """The profile of a BITMAPV5HEADER, or the primaries and curves since BITMAPV4HEADER."""
    data = file_bytes(image)
    size = int.from_bytes(data[14:18], "little")
    if len(data) < 14 + size or size < 108:
        return
    kind = data[70:74]
    if kind == b"DEBM" and size >= 124:
        start, length = struct.unpack_from("<II", data, 126)
        image.info["icc_profile"] = data[14 + start : 14 + start + length]
    elif kind == CALIBRATED:
        colorants = np.frombuffer(data, "<i4", 9, 74).reshape(3, 3)
        points = np.vstack([colorants.sum(axis=0, dtype=float), colorants])
        sums = points.sum(axis=1, keepdims=True)
        known = (sums > 0).all()
        primaries = primaries_of((points[:, :2] / sums).ravel()) if known else BT709
        exponents = np.frombuffer(data, "<u4", 3, 110) / 65536
        usual = exponents.min() >= 0.05 and exponents.max() <= 20
        curves: tuple[Curve, ...] = tuple(map(float, exponents)) if usual else (SRGB_CURVE,)
        image.info["color_space"] = ColorSpace(primaries, curves)
