"""Pictures from and to Pillow's images of any mode."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import Base

from sr_runtime.errors import ImageError, SRError
from sr_runtime.image.bit_depth import bits_per_channel
from sr_runtime.image.color import converted_to_srgb, with_profile
from sr_runtime.image.exif import descriptive_exif, exif_with_size
from sr_runtime.image.out_of_memory import memory_for
from sr_runtime.image.picture import LARGEST_DPI, Picture, pixels_text
from sr_runtime.image.xmp import descriptive_xmp

__all__ = ["dpi_of", "from_pil", "pixels_of", "to_pil"]

WHITE_IS_ZERO = 0  # value of TIFF's tag PhotometricInterpretation

# Modes that become sRGB through their ICC profile, with the colour space that its header names.
SPACES = {"CMYK": b"CMYK", "LAB": b"Lab ", "YCbCr": b"YCbr"}


def from_pil(image: Image.Image) -> Picture:
    """The current frame of a Pillow image; its EXIF orientation is kept and not applied.

    Raises ImageError for pixels that do not fit 16 bits, and where Pillow would cut 16 bits to 8.
    """
    if bits_per_channel(image) > 8 and not image.mode.startswith(("I", "F")):
        raise ImageError("Pillow cuts this 16-bit image to 8 bits: let sr_runtime read its file")
    if 0 in image.size:
        raise ImageError(f"an image of {image.width}×{image.height} has no pixels")
    size = pixels_text(image.height, image.width, 1)
    try:
        with memory_for(f"read {size}", image.width * image.height * len(image.getbands())):
            image.load()
            frame, icc_profile = pixels_of(image)
    except SRError:
        raise
    except Exception as error:  # damaged files make decoders raise nearly anything
        reason = str(error) or type(error).__name__
        raise ImageError(f"the image cannot be read ({reason})") from error
    exif = descriptive_exif(image)
    return Picture(
        frames=(frame,),
        icc_profile=icc_profile,
        exif=exif.tobytes() if exif else None,
        dpi=dpi_of(image),
        xmp=descriptive_xmp(image.info.get("xmp")),
    )


def to_pil(picture: Picture) -> Image.Image:
    """A still as a Pillow image, with `icc_profile`, `exif`, `dpi` and `xmp` in its `info`.

    Raises ImageError for animations and 16-bit colour, for which Pillow has no image.
    """
    if len(picture.frames) > 1:
        raise ImageError(
            f"a Pillow image holds one frame and this animation has {len(picture.frames)}: "
            "convert its frames one by one"
        )
    frame = picture.frames[0]
    channels = frame.shape[2]
    if frame.dtype == np.uint16 and channels > 1:
        raise ImageError(f"Pillow cannot hold 16 bits in {channels} channels: use numpy arrays")
    image = Image.fromarray(frame[:, :, 0] if channels == 1 else frame)
    metadata = {name: getattr(picture, name) for name in ("icc_profile", "dpi", "xmp")}
    if picture.exif is not None:
        metadata["exif"] = exif_with_size(picture.exif, width=image.width, height=image.height)
    image.info.update({name: value for name, value in metadata.items() if value is not None})
    return image


def pixels_of(image: Image.Image) -> tuple[NDArray[Any], bytes | None]:
    """`(H, W, C)` uint8 or uint16 of a Pillow image of any mode, and its colours' ICC profile.

    Raises ImageError for floating-point pixels, integers beyond 16 bits, and HDR.
    """
    profile: bytes | None = image.info.get("icc_profile")
    alpha = "A" if image.has_transparency_data else ""
    match image.mode:
        case "I" | "I;16" | "I;16L" | "I;16B" | "I;16N":
            pixels = _sixteen_bit_gray(image)
        case "1" | "L" | "LA" | "La":
            pixels = _converted(image, "L" + alpha)
        case "CMYK" | "LAB" | "YCbCr" if profile and profile[16:20] == SPACES[image.mode]:
            pixels = converted_to_srgb(image, profile)
        case "P" | "PA" | "RGB" | "RGBA" | "RGBa" | "RGBX" | "CMYK" | "LAB" | "YCbCr" | "HSV":
            pixels = _converted(_with_color_map(image), "RGB" + alpha)
        case _:
            raise ImageError(
                f"pixels of Pillow's mode {image.mode} have no stated range: convert the image to "
                "8 or 16 bits first"
            )
    pixels = pixels.reshape(image.height, image.width, -1)
    (pixels,), stated = with_profile(image, [pixels])
    return pixels, stated


def dpi_of(image: Image.Image) -> tuple[float, float] | None:
    """Dots per inch, if stated and within what all formats can hold.

    Pillow gives 1 for a TIFF that states none.
    """
    match image.info.get("dpi"):
        case (x, y) if 1 < x < LARGEST_DPI and 1 < y < LARGEST_DPI:
            return float(x), float(y)
    return None


def _converted(image: Image.Image, mode: str) -> NDArray[Any]:
    # Pillow copies an image that has the mode already.
    return np.asarray(image if image.mode == mode else image.convert(mode))


def _with_color_map(image: Image.Image) -> Image.Image:
    """`image` with its palette, which some TIFFs state by 8 bits and Pillow takes for 16."""
    colors = image.tag_v2.get(Base.ColorMap) if image.format == "TIFF" else None  # type: ignore[attr-defined]
    if image.mode not in ("P", "PA") or colors is None or max(colors) > 255:
        return image
    corrected = image.copy()
    corrected.putpalette(np.reshape(colors, (3, -1)).T.astype(np.uint8).tobytes())
    return corrected


def _sixteen_bit_gray(image: Image.Image) -> NDArray[Any]:
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(
            f"its pixels range from {values.min()} to {values.max()} and 16 bits hold 0 to 65535: "
            "scale them first"
        )
    gray = values.astype(np.uint16)
    if image.format == "TIFF" and image.tag_v2.get(Base.PhotometricInterpretation) == WHITE_IS_ZERO:  # type: ignore[attr-defined]
        gray = 65535 - gray  # Pillow inverts 8 bits, but not 16
    transparent = image.info.get("transparency")
    if transparent is None:
        return gray
    return np.dstack([gray, np.where(gray == transparent, 0, 65535).astype(np.uint16)])
