"""Pictures in memory, and their conversion from and to Pillow's images of any mode."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_runtime.errors import ImageError, SRError
from sr_runtime.image.bit_depth import bits_per_channel
from sr_runtime.image.color import converted_to_srgb, with_profile
from sr_runtime.image.exif import descriptive_exif
from sr_runtime.image.out_of_memory import memory_for
from sr_runtime.image.xmp import descriptive_xmp

__all__ = [
    "Picture",
    "dpi_of",
    "from_pil",
    "pixels_of",
    "pixels_text",
    "rounded_durations",
    "to_pil",
]

# Modes that become sRGB through their ICC profile, with the colour space that its header names.
SPACES = {"CMYK": b"CMYK", "LAB": b"Lab ", "YCbCr": b"YCbr"}


# Arrays compare elementwise, so pictures compare by identity.
@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """What an image file holds: pixels as the network takes them, and metadata."""

    frames: tuple[NDArray[Any], ...]
    """Each `(H, W, C)` uint8, uint16, or float32 in [0, 1] (no file holds that), C being 1 (gray),
    2 (gray, alpha), 3 (RGB) or 4 (RGBA); one for a still, several of one shape for an animation."""
    durations: tuple[int, ...] = ()
    """Milliseconds per frame; empty for a still."""
    loop: int | None = None
    """How many times an animation plays; 0: for ever; None: not stated, which means once."""
    icc_profile: bytes | None = None
    """The profile of the frames' gray or RGB values; None means sRGB."""
    exif: bytes | None = None
    """Descriptive tags; `read` has applied the orientation and removed it."""
    dpi: tuple[float, float] | None = None
    """Dots per inch, horizontally and vertically."""
    xmp: bytes | None = None
    """An XMP packet, without what describes the old file."""
    iptc: bytes | None = None
    """IPTC-IIM, as a newspaper's TIFF or JPEG holds it."""
    png_text: tuple[tuple[bytes, bytes], ...] = ()
    """Text chunks of a PNG as they lie in the file: a name (tEXt, zTXt, iTXt) and the content."""
    pages: "tuple[Picture, ...]" = ()
    """The second and further pages of a TIFF, whose sizes and kinds may differ."""

    @property
    def nbytes(self) -> int:
        """The memory that the pixels of all frames and pages take."""
        return sum(frame.nbytes for frame in self.frames) + sum(page.nbytes for page in self.pages)


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
    metadata = {name: getattr(picture, name) for name in ("icc_profile", "exif", "dpi", "xmp")}
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
            pixels = _converted(image, "RGB" + alpha)
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
        case (x, y) if 1 < x < 65535 and 1 < y < 65535:
            return float(x), float(y)
    return None


def _converted(image: Image.Image, mode: str) -> NDArray[Any]:
    # Pillow copies an image that has the mode already.
    return np.asarray(image if image.mode == mode else image.convert(mode))


def _sixteen_bit_gray(image: Image.Image) -> NDArray[Any]:
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ImageError(
            f"its pixels range from {values.min()} to {values.max()} and 16 bits hold 0 to 65535: "
            "scale them first"
        )
    gray = values.astype(np.uint16)
    transparent = image.info.get("transparency")
    if transparent is None:
        return gray
    return np.dstack([gray, np.where(gray == transparent, 0, 65535).astype(np.uint16)])


def rounded_durations(durations: Sequence[float], step: int) -> tuple[int, ...]:
    """`durations` as multiples of `step` that never drift from them by more than half a step."""
    ends = [step * round(end / step) for end in accumulate(durations, initial=0)]
    return tuple(end - start for start, end in pairwise(ends))


def pixels_text(height: int, width: int, frames: int) -> str:
    """The size of an image or animation, for a message."""
    return f"{width} × {height} pixels" + (f" × {frames} frames" if frames > 1 else "")
