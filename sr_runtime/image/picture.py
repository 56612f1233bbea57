"""Pictures in memory, and how Pillow's modes become the network's channels and go back."""

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from sr_runtime.errors import ImageError
from sr_runtime.image.bit_depth import bits_per_channel
from sr_runtime.image.exif import descriptive_exif

__all__ = ["Picture", "dpi_of", "from_pil", "pixels_of", "profile_for", "to_pil"]

# The modes that go to sRGB through a profile of their own colour space, as its header spells it.
SPACES = {"CMYK": b"CMYK", "LAB": b"Lab ", "YCbCr": b"YCbr"}


# Arrays compare elementwise, so pictures compare by identity.
@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """What an image file holds, ready for the network."""

    frames: tuple[NDArray[Any], ...]
    """Each `(H, W, C)` uint8 or uint16, C being 1 (gray), 2 (gray, alpha), 3 (RGB) or 4 (RGBA);
    one for a still, several of one shape for an animation."""
    durations: tuple[int, ...] = ()
    """Milliseconds per frame; empty for a still."""
    loop: int | None = None
    """How often an animation plays: n times, 0 for ever, None where not stated (then once)."""
    icc_profile: bytes | None = None
    """Of the frames' colour space, gray or RGB; None means sRGB."""
    exif: bytes | None = None
    """Descriptive tags; `read` has applied the orientation and removed it."""
    dpi: tuple[float, float] | None = None
    """Dots per inch, horizontally and vertically."""


def from_pil(image: Image.Image) -> Picture:
    """The current frame of a Pillow image, taken as it lies: not turned by its EXIF orientation.

    Raises ImageError for what does not fit 16 bits, and where Pillow would cut 16 bits to 8.
    """
    if bits_per_channel(image) > 8 and not image.mode.startswith(("I", "F")):
        raise ImageError("Pillow cuts this 16-bit image to 8 bits: let sr_runtime read its file")
    if 0 in image.size:
        raise ImageError(f"an image of {image.width}×{image.height} has no pixels")
    try:
        image.load()
    except (OSError, ValueError) as error:
        raise ImageError(f"the image cannot be read ({error})") from error
    frame, icc_profile = pixels_of(image)
    exif = descriptive_exif(image)
    return Picture(
        frames=(frame,),
        icc_profile=icc_profile,
        exif=exif.tobytes() if exif else None,
        dpi=dpi_of(image),
    )


def to_pil(picture: Picture) -> Image.Image:
    """A still as a Pillow image, with `icc_profile`, `exif` and `dpi` in its `info`.

    Raises ImageError for what Pillow has no image for: animations, 16 bits but gray.
    """
    if len(picture.frames) > 1:
        raise ImageError(f"a Pillow image holds one frame and this animation {len(picture.frames)}")
    frame = picture.frames[0]
    channels = frame.shape[2]
    if frame.dtype == np.uint16 and channels > 1:
        raise ImageError(f"Pillow holds 16 bits in gray and not in {channels} channels: use arrays")
    image = Image.fromarray(frame[:, :, 0] if channels == 1 else frame)
    metadata = {"icc_profile": picture.icc_profile, "exif": picture.exif, "dpi": picture.dpi}
    image.info.update({name: value for name, value in metadata.items() if value is not None})
    return image


def pixels_of(image: Image.Image) -> tuple[NDArray[Any], bytes | None]:
    """`(H, W, C)` of a Pillow image of any mode, and the ICC profile that describes it.

    Raises ImageError for floating point, and for integers beyond 16 bits.
    """
    profile: bytes | None = image.info.get("icc_profile")
    alpha = "A" if image.has_transparency_data else ""
    match image.mode:
        case "I" | "I;16" | "I;16L" | "I;16B" | "I;16N":
            pixels = _sixteen_bit_gray(image)
        case "1" | "L" | "LA" | "La":
            pixels = _converted(image, "L" + alpha)
        case "CMYK" | "LAB" | "YCbCr" if profile and profile[16:20] == SPACES[image.mode]:
            pixels, profile = np.asarray(_to_srgb(image, profile)), None
        case "P" | "PA" | "RGB" | "RGBA" | "RGBa" | "RGBX" | "CMYK" | "LAB" | "YCbCr" | "HSV":
            pixels = _converted(image, "RGB" + alpha)
        case _:
            raise ImageError(
                f"the range of its pixels, of Pillow's mode {image.mode}, is not stated: "
                "convert it to 8 or 16 bits first"
            )
    pixels = pixels.reshape(image.height, image.width, -1)
    return pixels, profile_for(pixels.shape[2], profile)


def profile_for(channels: int, profile: bytes | None) -> bytes | None:
    """An ICC profile where it describes so many channels (ICC.1, 7.2.6), else None."""
    space = b"GRAY" if channels < 3 else b"RGB "
    return profile if profile and profile[16:20] == space else None


def dpi_of(image: Image.Image) -> tuple[float, float] | None:
    """Dots per inch where stated, and within what all formats can hold.

    Of a TIFF that states none, Pillow says 1.
    """
    match image.info.get("dpi"):
        case (x, y) if 1 < x < 65535 and 1 < y < 65535:
            return float(x), float(y)
    return None


def _converted(image: Image.Image, mode: str) -> NDArray[Any]:
    # Converting to the same mode would copy.
    return np.asarray(image if image.mode == mode else image.convert(mode))


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            # The usual choice for photos: colours that sRGB has stay, and black stays black.
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            outputMode="RGB",
        )
    except (ImageCms.PyCMSError, OSError) as error:
        raise ImageError(
            f"its {image.mode} profile is damaged ({error}): convert it to RGB first"
        ) from error
    assert converted is not None  # only a conversion in place returns nothing
    return converted


def _sixteen_bit_gray(image: Image.Image) -> NDArray[Any]:
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(
            f"its values reach from {values.min()} to {values.max()}, beyond 16 bits: "
            "scale them to 0–65535 first"
        )
    gray = values.astype(np.uint16)
    transparent = image.info.get("transparency")
    if transparent is None:
        return gray
    return np.dstack([gray, np.where(gray == transparent, 0, 65535).astype(np.uint16)])
