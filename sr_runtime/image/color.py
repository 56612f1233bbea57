"""The colours of a file: every place that states them, as one ICC profile."""

import io
import re
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from sr_runtime.image.bit_depth import file_bytes
from sr_runtime.image.cicp import BT709, CURVE_STEPS, profile_from_cicp, refuse_hdr
from sr_runtime.image.icc import (
    Primaries,
    gamma_curve,
    gray_profile,
    rgb_profile,
    srgb_values,
    table_curve,
)

__all__ = ["color_profile", "in_srgb", "profile_for", "state_colors"]

ADOBE_RGB = BT709._replace(green=(0.21, 0.71))
TRANSFER_FUNCTION, WHITE_POINT, PRIMARY_CHROMATICITIES = 301, 318, 319  # TIFF tags
PHOTOMETRIC, BLACK_IS_ZERO, RGB = 262, 1, 2
# PNG prescribes this gAMA, and BT.709's cHRM, beside sRGB for programs that know only them.
GAMMA_OF_SRGB = 0.45455


def state_colors(image: Image.Image) -> None:
    """Note in `info` what Pillow leaves out: `cicp` and profiles that only the file's bytes tell.

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
            _take_profile(info, re.search(rb"(....)colr\x02..", file_bytes(image), re.DOTALL), 11)
        case "BMP":
            info.update(_bmp_colors(file_bytes(image)))


def color_profile(image: Image.Image, channels: int) -> bytes | None:
    """The profile under which a viewer that manages colour shows `image`; None means sRGB.

    The places are asked in the order of precedence: cICP, iCCP, sRGB, gAMA with cHRM in a PNG (3rd
    edition, 4.3); the profile before nclx in AVIF and HEIF; the profile before the tags in a TIFF;
    and last EXIF, where cameras say Adobe RGB.

    Args:
        channels: Of the pixels, as in Picture.

    Raises:
        ImageError: The file is HDR.
    """
    info = image.info
    profile = profile_for(channels, info.get("icc_profile"))
    if profile is not None:
        refuse_hdr(_transfer_of(profile))
    if (cicp := info.get("cicp")) and (profile is None or image.format == "PNG"):
        known, stated = profile_from_cicp(*cicp, channels=channels)
        if known:
            return stated
    if profile is not None or "srgb" in info:
        return profile
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        return None  # they become sRGB
    if "gamma" in info or "chromaticity" in info:
        return _from_gamma(info.get("gamma"), info.get("chromaticity"), channels)
    if image.format == "TIFF":
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        if tags.get(PHOTOMETRIC) in (BLACK_IS_ZERO, RGB):
            return _from_tiff_tags(tags, channels)
    if channels > 2 and _camera_says_adobe_rgb(image):
        return rgb_profile("Adobe RGB (1998) compatible", ADOBE_RGB, [gamma_curve(563 / 256)])
    return None


def profile_for(channels: int, profile: bytes | None) -> bytes | None:
    """`profile` if its colour space has that many channels (ICC.1, 7.2.6), else None."""
    space = b"GRAY" if channels < 3 else b"RGB "
    return profile if profile and profile[16:20] == space else None


def in_srgb(frame: NDArray[Any], profile: bytes | None) -> NDArray[Any]:
    """A uint8 `(H, W, C)` frame converted from its profile, for a format that holds none.

    Gray becomes RGB. A damaged profile changes nothing, as in a viewer.
    """
    profile = profile_for(frame.shape[2], profile)
    if profile is None:
        return frame
    color = Image.fromarray(frame[:, :, 0] if frame.shape[2] < 3 else frame[:, :, :3])
    try:
        converted = ImageCms.profileToProfile(
            color,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError):
        return frame
    pixels = np.asarray(converted)
    return pixels if frame.shape[2] in (1, 3) else np.dstack([pixels, frame[:, :, -1]])


def _from_gamma(
    gamma: float | None, chromaticity: tuple[float, ...] | None, channels: int
) -> bytes | None:
    """A PNG's gAMA and cHRM, either of which may be absent or nonsense."""
    primaries = BT709
    if chromaticity and len(chromaticity) == 8:
        points = zip(chromaticity[::2], chromaticity[1::2], strict=True)
        primaries = Primaries(*((float(x), float(y)) for x, y in points))
        if np.abs(np.array(primaries) - np.array(BT709)).max() < 0.001:
            primaries = BT709
    if gamma is None or not 0.05 <= gamma <= 20:
        gamma = GAMMA_OF_SRGB
        curve = table_curve(srgb_values(CURVE_STEPS))
    else:
        curve = gamma_curve(1 / gamma)
    if abs(gamma - GAMMA_OF_SRGB) < 1e-4 and (channels < 3 or primaries == BT709):
        return None
    if channels < 3:
        return gray_profile(f"Gray of gamma {1 / gamma:.2f}", curve)
    return rgb_profile(f"RGB of gamma {1 / gamma:.2f}", primaries, [curve])


def _from_tiff_tags(tags: Any, channels: int) -> bytes | None:
    """The colorimetry of TIFF 6.0, section 20."""
    white, points = tags.get(WHITE_POINT), tags.get(PRIMARY_CHROMATICITIES)
    primaries = BT709
    if points and len(points) == 6:
        x, y = white if white and len(white) == 2 else BT709.white
        flat = [float(value) for value in (x, y, *points)]
        primaries = Primaries(*zip(flat[::2], flat[1::2], strict=True))
    table = np.array(tags.get(TRANSFER_FUNCTION) or (), float) / 65535
    planes = 3 if channels > 2 and table.size in (3 * 2**8, 3 * 2**16) else 1
    if table.size // planes not in (2**8, 2**16) or table.max() < 0.5:
        table, planes = srgb_values(2**8), 1
    steps = np.linspace(0, table.size // planes - 1, CURVE_STEPS)
    values = [np.interp(steps, range(len(plane)), plane) for plane in np.split(table, planes)]
    is_srgb = np.abs(np.array(values) - srgb_values(CURVE_STEPS)).max() < 0.005
    if is_srgb and (channels < 3 or np.abs(np.array(primaries) - np.array(BT709)).max() < 0.001):
        return None
    if channels < 3:
        return gray_profile("Gray of a TIFF", table_curve(values[0]))
    return rgb_profile("RGB of a TIFF", primaries, [table_curve(value) for value in values])


def _camera_says_adobe_rgb(image: Image.Image) -> bool:
    """Whether EXIF has the mark of Adobe RGB of DCF 2.0, 3.2.3, or the number others write."""
    try:
        exif = image.getexif()
        space = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.ColorSpace)
        index = exif.get_ifd(ExifTags.IFD.Interop).get(1)
    except Exception:  # damaged EXIF raises nearly anything and must not cost the photo
        return False
    return space == 2 or (space != 1 and index in ("R03", b"R03", "R03\0"))


def _transfer_of(profile: bytes) -> int:
    """The H.273 transfer that a profile of version 4.4 states beside its curves; 2 if none."""
    found = re.search(rb"cicp(....)(....)", profile[132:1024], re.DOTALL)
    if found is None:
        return 2
    start = int.from_bytes(found[1])
    return profile[start + 9] if profile[start : start + 4] == b"cicp" else 2


def _take_profile(info: dict[Any, Any], box: re.Match[bytes] | None, header: int) -> None:
    if box is not None:
        size = int.from_bytes(box[1]) - header
        profile = box.string[box.end() : box.end() + size]
        if len(profile) == size and profile[36:40] == b"acsp":
            info["icc_profile"] = profile


def _bmp_colors(data: bytes) -> dict[str, Any]:
    """The profile, or primaries and gamma, of a BITMAPV4HEADER or BITMAPV5HEADER."""
    if len(data) < 122 or struct.unpack_from("<I", data, 14)[0] < 108:
        return {}
    kind: int = struct.unpack_from("<I", data, 70)[0]
    if kind == int.from_bytes(b"MBED") and len(data) >= 138:
        start, size = struct.unpack_from("<II", data, 126)
        return {"icc_profile": data[14 + start : 14 + start + size]}
    return {}
