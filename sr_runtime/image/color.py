"""The colours of a file: every place that states them becomes one ICC profile."""

import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, TiffTags
from PIL.ExifTags import IFD, Base

from sr_runtime.errors import ImageError
from sr_runtime.image.cicp import refuse_hdr, space_from_cicp
from sr_runtime.image.icc import (
    BT709,
    SRGB_CURVE,
    ColorSpace,
    Curve,
    light_of,
    primaries_of,
    profile_of,
)
from sr_runtime.image.icc_curves import curves_of, with_srgb_curve

__all__ = ["converted_to_srgb", "in_srgb", "profile_for", "with_profile"]

ADOBE_RGB = ColorSpace(BT709._replace(green=(0.21, 0.71)), (563 / 256,))
BLACK_IS_ZERO, RGB = 1, 2  # values of TIFF's tag PhotometricInterpretation
# PNG prescribes this gAMA, and BT.709's cHRM, beside sRGB for programs that know only them.
GAMMA_OF_SRGB = 0.45455

# The models were trained on sRGB, which is about 2.2. Between these exponents they upscale well.
USUAL = 1.6, 3.0

Frames = Sequence[NDArray[Any]]


def with_profile(image: Image.Image, frames: Frames) -> tuple[list[NDArray[Any]], bytes | None]:
    """The uint8 or uint16 `(H, W, C)` frames of `image`, and the profile that they are shown with.

    None means sRGB. The places are asked in the order of precedence: cICP, iCCP, sRGB, gAMA with
    cHRM in a PNG (3rd edition, 4.3); the profile before nclx in AVIF and HEIF; the profile before
    the tags in a TIFF; and last EXIF, where cameras say Adobe RGB. Values whose curve is far from
    sRGB's, as linear light, are converted to sRGB's.

    Raises ImageError for high dynamic range.
    """
    channels = frames[0].shape[2]
    profile = profile_for(channels, image.info.get("icc_profile"))
    if profile is not None:
        refuse_hdr(_transfer_of(profile))
    if (cicp := image.info.get("cicp")) and (profile is None or image.format == "PNG"):
        space = space_from_cicp(*cicp)
        if space is not None:
            return _in_space(frames, space)
    if profile is not None:
        return _in_profile(frames, profile)
    space = _space(image, channels)
    return (list(frames), None) if space is None else _in_space(frames, space)


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
        pixels = converted_to_srgb(color, profile)
    except ImageError:
        return frame
    return pixels if frame.shape[2] in (1, 3) else np.dstack([pixels, frame[:, :, -1]])


def converted_to_srgb(image: Image.Image, profile: bytes) -> NDArray[Any]:
    """The `(H, W, 3)` uint8 pixels of `image` in sRGB; `profile` is one of its colour space.

    Raises ImageError if the profile is damaged.
    """
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            # The usual choice for photos: it keeps black, and every colour that sRGB has.
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError) as error:
        raise ImageError(
            f"its {image.mode} profile is damaged ({error}): convert the image to RGB first"
        ) from error
    return np.asarray(converted)


def _in_space(frames: Frames, space: ColorSpace) -> tuple[list[NDArray[Any]], bytes | None]:
    """`frames`, whose values are in `space`, and their profile."""
    channels = frames[0].shape[2]
    if _are_usual(space.curves):
        return list(frames), profile_of(space, channels=channels)
    converted = [_with_srgb_curve(frame, space.curves) for frame in frames]
    return converted, profile_of(ColorSpace(space.primaries, (SRGB_CURVE,)), channels=channels)


def _in_profile(frames: Frames, profile: bytes) -> tuple[list[NDArray[Any]], bytes | None]:
    """`frames`, whose values are in `profile`, and their profile."""
    curves = curves_of(profile)
    if curves is None or _are_usual(curves):
        return list(frames), profile
    return [_with_srgb_curve(frame, curves) for frame in frames], with_srgb_curve(profile)


def _are_usual(curves: tuple[Curve, ...]) -> bool:
    """Whether the models upscale values of such curves as well as sRGB's."""
    half = np.array([light_of(curve, np.array(0.5)) for curve in curves])
    exponents = np.log(half.clip(1e-9)) / np.log(0.5)
    return bool(USUAL[0] < exponents.min() and exponents.max() < USUAL[1])


def _with_srgb_curve(frame: NDArray[Any], curves: tuple[Curve, ...]) -> NDArray[Any]:
    most = np.iinfo(frame.dtype).max
    steps = np.linspace(0, 1, len(SRGB_CURVE))
    converted = frame.copy()
    for channel in range(frame.shape[2] - 1 + frame.shape[2] % 2):  # not alpha
        light = light_of(curves[channel % len(curves)], np.arange(most + 1) / most)
        table = np.rint(most * np.interp(light, SRGB_CURVE, steps)).astype(frame.dtype)
        converted[:, :, channel] = table[frame[:, :, channel]]
    return converted


def _space(image: Image.Image, channels: int) -> ColorSpace | None:
    """The colour space that gAMA and cHRM, a TIFF's tags or EXIF state; None means sRGB."""
    info = image.info
    if "color_space" in info:
        stated: ColorSpace = info["color_space"]
        return stated
    if "srgb" in info or image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):  # which become sRGB
        return None
    if "gamma" in info or "chromaticity" in info:
        return _from_gamma(info.get("gamma"), info.get("chromaticity"))
    if image.format == "TIFF":
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        if tags.get(Base.PhotometricInterpretation) in (BLACK_IS_ZERO, RGB):
            return _from_tiff_tags(tags, channels)
    return ADOBE_RGB if channels > 2 and _camera_says_adobe_rgb(image) else None


def _from_gamma(gamma: float | None, chromaticity: tuple[float, ...] | None) -> ColorSpace:
    """A PNG's gAMA and cHRM, either of which may be absent or nonsense."""
    primaries = primaries_of(chromaticity or ())
    if gamma is None or not 0.05 <= gamma <= 20:
        return ColorSpace(primaries, (SRGB_CURVE,))
    if abs(gamma - GAMMA_OF_SRGB) < 1e-4 and primaries == BT709:
        return ColorSpace(primaries, (SRGB_CURVE,))
    return ColorSpace(primaries, (1 / gamma,))


def _from_tiff_tags(tags: Any, channels: int) -> ColorSpace:
    """The colorimetry of TIFF 6.0, section 20."""

    def numbers(tag: int) -> tuple[float, ...]:
        return tags[tag] if tags.tagtype.get(tag) in (TiffTags.SHORT, TiffTags.RATIONAL) else ()

    white = numbers(Base.WhitePoint) or BT709.white
    primaries = primaries_of((*white, *numbers(Base.PrimaryChromaticities)))
    table = np.array(numbers(Base.TransferFunction), float) / 65535
    planes = 3 if channels > 2 and table.size in (3 * 2**8, 3 * 2**16) else 1
    curves = np.split(table, planes)
    if len(curves[0]) not in (2**8, 2**16) or any((np.diff(one) < 0).any() for one in curves):
        return ColorSpace(primaries, (SRGB_CURVE,))
    steps = np.linspace(0, 1, len(SRGB_CURVE))
    return ColorSpace(primaries, tuple(light_of(one, steps) for one in curves))


def _camera_says_adobe_rgb(image: Image.Image) -> bool:
    """Whether EXIF has the mark of Adobe RGB of DCF 2.0, 3.2.3, or the number others write."""
    try:
        exif = image.getexif()
        space = exif.get_ifd(IFD.Exif).get(Base.ColorSpace)
        index = exif.get_ifd(IFD.Interop).get(1)
    except Exception:  # damaged EXIF raises nearly anything and must not cost the photo
        return False
    return space == 2 or (space != 1 and index in ("R03", b"R03", "R03\0"))


def _transfer_of(profile: bytes) -> int:
    """The H.273 transfer that a profile of version 4.4 states beside its curves; 2 if none."""
    found = re.search(rb"cicp(....)", profile[132:1024], re.DOTALL)
    start = int.from_bytes(found[1]) if found else 0
    tag = profile[start : start + 12]
    return tag[9] if len(tag) == 12 and tag.startswith(b"cicp") else 2
