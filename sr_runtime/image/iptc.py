"""IPTC-IIM, the captions of news photos: from TIFF and JPEG files, and into them."""

import struct

from PIL import Image
from PIL.ExifTags import Base

__all__ = ["iptc_of", "photoshop_segment"]

RESOURCE = 0x0404  # of Photoshop, in a JPEG
FIELD = 0x1C  # begins every field


def iptc_of(image: Image.Image) -> bytes | None:
    """The IPTC fields of a TIFF or JPEG, as they lie in it."""
    match image.format:
        case "TIFF":
            # Some programs write them as numbers of 32 bits.
            stored = image.tag_v2.get(Base.IPTCNAA)  # type: ignore[attr-defined]
            if isinstance(stored, tuple) and all(isinstance(n, int) for n in stored):
                stored = struct.pack(f"{image.tag_v2._endian}{len(stored)}I", *stored)  # type: ignore[attr-defined]
        case "JPEG" | "MPO":
            stored = image.info.get("photoshop", {}).get(RESOURCE)
        case _:
            return None
    return stored if isinstance(stored, bytes) and stored[:1] == bytes([FIELD]) else None


def photoshop_segment(iptc: bytes) -> bytes:
    """The JPEG segment APP13 that holds `iptc`; nothing if it is too large for one."""
    content = b"Photoshop 3.0\0" + b"8BIM" + struct.pack(">HxxI", RESOURCE, len(iptc))
    content += iptc + bytes(len(iptc) % 2)
    return (
        b"\xff\xed" + struct.pack(">H", len(content) + 2) + content if len(content) < 65533 else b""
    )
