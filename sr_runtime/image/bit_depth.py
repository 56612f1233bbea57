"""How many bits per channel a file holds, which Pillow does not report."""

import re
import struct

from PIL import Image
from PIL.ExifTags import Base

__all__ = ["bits_per_channel", "file_bytes", "jpeg2000_depths"]


def bits_per_channel(image: Image.Image) -> int:
    """The most bits of any channel, of an image that was opened but not loaded; 8 without a file.

    Pillow's only modes of more than 8 bits are gray: it opens 16-bit RGB as "RGB" and drops the
    low byte when it loads the pixels.
    """
    match image.format:
        case "PNG":
            deep = any(str(args).endswith(";16B") for args in _decoder_arguments(image))
            return 16 if deep else 8
        case "TIFF":
            return int(max(image.tag_v2.get(Base.BitsPerSample, (1,))))  # type: ignore[attr-defined]
        case "PPM":
            # The arguments are (mode, largest value), or the mode alone if that fills its bytes.
            largest = [args[-1] for args in _decoder_arguments(image) if isinstance(args, tuple)]
            return max(largest, default=255).bit_length()
        case "JPEG2000":
            return max(jpeg2000_depths(file_bytes(image)))
        case "HEIF":
            return int(image.info["bit_depth"])
        case "AVIF":
            return _avif_bits(file_bytes(image))
        case _:
            return 8


def _decoder_arguments(image: Image.Image) -> list[object]:
    return [tile.args for tile in getattr(image, "tile", ())]


def file_bytes(image: Image.Image) -> bytes:
    """All bytes of the file behind an image that was not loaded; empty without a file."""
    file = getattr(image, "fp", None)
    if file is None:
        return b""
    file.seek(0)
    data: bytes = file.read()
    return data


def jpeg2000_depths(data: bytes) -> list[int]:
    """Bits of each component, from the codestream's segment SIZ (ISO 15444-1, A.5.1)."""
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0:
        return [8]
    (components,) = struct.unpack_from(">H", data, start + 40)
    return [(depth & 0x7F) + 1 for depth in data[start + 42 :][: 3 * components : 3]]


def _avif_bits(data: bytes) -> int:
    """From the flags high_bitdepth and twelve_bit of each av1C box (AV1-ISOBMFF, 2.3.3)."""
    flags = [match[1][0] for match in re.finditer(rb"av1C\x81.(.)", data, re.DOTALL)]
    return max((12 if flag & 0x20 else 10 if flag & 0x40 else 8 for flag in flags), default=8)
