"""The chunks of a PNG (PNG, 3rd edition, 5): what makes the picture, its colours, and its text.

Pillow refuses files with much text, and files with a damaged chunk that carries no pixels. So it is
given only the chunks that make the picture, and the others are read here.
"""

import io
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image

from sr_runtime.errors import ImageError
from sr_runtime.image.open_header import open_header
from sr_runtime.image.xmp import PNG_KEYWORD

__all__ = [
    "SIGNATURE",
    "append_texts",
    "is_text",
    "open_png",
    "png_chunk",
    "png_texts",
    "scale_color_key",
    "text_in",
    "with_texts",
]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = b"\0\0\0\0IEND\xaeB`\x82"
PICTURE = (b"IHDR", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"IDAT", b"fdAT", b"IEND")
COLORS = {b"sRGB": 1, b"gAMA": 4, b"cHRM": 32, b"pHYs": 9}
"""Read by Pillow, like the resolution; and how many bytes they have."""
FIRST = (b"cHRM", b"cICP", b"gAMA", b"iCCP", b"sRGB")
"""Chunks that count for nothing behind the palette or the pixels."""
TEXT = (b"tEXt", b"zTXt", b"iTXt")

MOST_TEXT = 2**27
"""Bytes of text that are carried over; more is left out."""
MOST_UNPACKED = 2**26
"""Bytes of a compressed profile, XMP or EXIF; more is left out."""

# What programs write about the old file: thumbnails by freedesktop, EXIF and hashes by ImageMagick.
STALE = re.compile(rb"Thumb::|exif:|png:|signature\0|Raw profile type (?!iptc)", re.IGNORECASE)


def open_png(file: BinaryIO, *, pixels: bool) -> Image.Image:
    """Pillow's image of a PNG, with `icc_profile`, `cicp`, `exif`, `xmp` and `png_text` in `info`.

    Args:
        pixels: Whether they will be loaded; if not, they are not read.

    Raises:
        ImageError: Its values have a video's range.
    """
    parts: list[bytes] = []
    ancillary: dict[bytes, bytes] = {}
    text: list[tuple[bytes, bytes]] = []
    begun = False
    for name, content in _chunks(file, pixels):
        begun |= name in (b"PLTE", b"IDAT")
        if name in PICTURE or not name:
            parts.append(content)
        elif begun and name in FIRST:
            continue
        elif name in TEXT:
            text.append((name, content))
        else:
            ancillary.setdefault(name, content)
    head = [
        png_chunk(name, ancillary[name])
        for name, size in COLORS.items()
        if len(ancillary.get(name, b"")) == size
    ]
    lean = b"".join((SIGNATURE, *parts[:1], *head, *parts[1:]))
    read = Image.open if pixels else open_header
    image = read(io.BytesIO(lean), formats=("PNG",))
    image.info.update(_colors(ancillary) | _texts(text))
    if b"eXIf" in ancillary:
        image.info["exif"] = ancillary[b"eXIf"]
    image.info.setdefault("exif", b"")  # else Pillow decodes the pixels to look for it behind them
    return image


def is_text(name: object, content: object) -> bool:
    """Whether a chunk holds text: a keyword of 1 to 79 bytes, a zero byte, and more."""
    return name in TEXT and isinstance(content, bytes) and 1 <= content.find(b"\0") <= 79


def text_in(name: bytes, content: bytes) -> bytes | None:
    """The text of a chunk, UTF-8 in an iTXt and Latin-1 in others; None if it is damaged."""
    _, _, text = content.partition(b"\0")
    if name == b"tEXt":
        return text
    if name == b"zTXt":
        return _unpacked(text[1:])
    compressed = text[:1] == b"\1"
    _language, _, text = text[2:].partition(b"\0")
    _translated, _, text = text.partition(b"\0")
    return _unpacked(text) if compressed else text


def png_texts(text: Sequence[tuple[bytes, bytes]], xmp: bytes | None) -> list[tuple[bytes, bytes]]:
    """Names and contents of the chunks that hold the text and the XMP of a picture."""
    return [*text] if xmp is None else [*text, (b"iTXt", PNG_KEYWORD + bytes(5) + xmp)]


def with_texts(png: bytes, texts: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A PNG with chunks of text behind its header."""
    end = len(SIGNATURE) + 25
    return b"".join((png[:end], *(png_chunk(*text) for text in texts), png[end:]))


def append_texts(path: Path, texts: Sequence[tuple[bytes, bytes]]) -> None:
    """Put chunks of text behind the pixels of a PNG file, which is not written again for them."""
    with path.open("r+b") as file:
        file.seek(-len(END), io.SEEK_END)
        file.write(b"".join((*(png_chunk(*text) for text in texts), END)))


def _chunks(file: BinaryIO, pixels: bool) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents; chunks of the picture are whole, and others are left out if damaged.

    What is no chunk has no name: Pillow will say what is wrong with it.
    """
    end = file.seek(0, io.SEEK_END)
    file.seek(len(SIGNATURE))
    room = MOST_TEXT
    begun = False
    while start := file.read(8):
        # Python reserves the memory of what a damaged file claims to have.
        size, name = min(int.from_bytes(start[:4]), end - file.tell()), start[4:]
        if len(start) < 8 or not name.isalpha():
            yield b"", start + file.read()
            return
        begun |= name == b"IDAT"
        if begun and not pixels and name in PICTURE:
            file.seek(size + 4, io.SEEK_CUR)
            yield name, start
        elif name in PICTURE or name[:1].isupper():
            yield name if name in PICTURE else b"", start + file.read(size + 4)
            if name == b"IEND":
                return
        elif size > room:
            file.seek(size + 4, io.SEEK_CUR)
        else:
            content, checksum = file.read(size), file.read(4)
            if checksum == struct.pack(">I", zlib.crc32(name + content)):
                room -= size
                yield name, content


def png_chunk(name: bytes, content: bytes) -> bytes:
    """A chunk as it lies in a file."""
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return b"".join((struct.pack(">I", len(content)), name, content, checksum))


def _colors(ancillary: dict[bytes, bytes]) -> dict[str, Any]:
    info: dict[str, Any] = {}
    if b"iCCP" in ancillary:
        _, _, packed = ancillary[b"iCCP"].partition(b"\0")
        if profile := _unpacked(packed[1:]):
            info["icc_profile"] = profile
    if len(cicp := ancillary.get(b"cICP", b"")) == 4:
        primaries, transfer, _, full_range = cicp
        if not full_range:
            raise ImageError(
                "its values have the range of video, 16 to 235: convert it to sRGB first"
            )
        info["cicp"] = primaries, transfer
    return info


def _texts(text: Sequence[tuple[bytes, bytes]]) -> dict[str, Any]:
    """The text to keep, and the XMP and EXIF that lie among it."""
    info: dict[str, Any] = {}
    kept = []
    for name, content in text:
        if content.startswith(PNG_KEYWORD + b"\0"):
            info["xmp"] = text_in(name, content)
        elif content.startswith((b"Raw profile type exif\0", b"Raw profile type APP1\0")):
            if exif := _raw_profile(name, content):
                info.setdefault("exif", exif)
        elif content.startswith(b"Raw profile type xmp\0"):
            info.setdefault("xmp", _raw_profile(name, content))
        elif is_text(name, content) and not STALE.match(content):
            kept.append((name, content))
    info["png_text"] = tuple(kept)
    return info


def _raw_profile(name: bytes, content: bytes) -> bytes | None:
    """ImageMagick's way of storing EXIF and XMP: lines of a name, a length and digits."""
    digits = b"".join((text_in(name, content) or b"").split(b"\n")[3:])
    try:
        return bytes.fromhex(digits.decode("ascii"))
    except ValueError:
        return None


def _unpacked(data: bytes) -> bytes | None:
    """Unpacked by zlib; None if it is damaged or too large."""
    engine = zlib.decompressobj()
    try:
        unpacked = engine.decompress(data, MOST_UNPACKED)
    except zlib.error:
        return None
    return None if engine.unconsumed_tail else unpacked


def scale_color_key(image: Image.Image) -> None:
    """Scale a PNG's transparent gray of 2 or 4 bits to 8 bits, as Pillow scales the pixels."""
    most = {"L;2": 3, "L;4": 15}
    key = image.info.get("transparency")
    rawmode = image.tile[0].args  # type: ignore[attr-defined]
    if isinstance(key, int) and rawmode in most:
        image.info["transparency"] = (key & most[rawmode]) * 255 // most[rawmode]
