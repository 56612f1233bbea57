"""Files that Pillow does not write, PNGs of any chunks and TIFFs of any directories; and sRGB."""

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import ImageCms

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NUMBERS = {1: "B", 3: "H", 4: "I", 5: "I"}


def chunk(name: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def png_of(pixels: np.ndarray, *chunks: tuple[bytes, bytes] | bytes) -> bytes:
    """A PNG of `(H, W, C)` uint8 or uint16; chunks, or bytes as they are, follow its header."""
    height, width, channels = pixels.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in pixels)
    between = (part if isinstance(part, bytes) else chunk(*part) for part in chunks)
    data = (chunk(b"IHDR", header), *between, chunk(b"IDAT", zlib.compress(rows)))
    return SIGNATURE + b"".join(data) + chunk(b"IEND", b"")


Directory = dict[int, tuple[int, Sequence[int] | bytes]]
"""Tag to (type, values); 330 may be another Directory."""


def tiff_of(
    *directories: Directory, data: bytes = b"", mark: bytes = b"", big: bool = False
) -> bytes:
    """A TIFF of directories that follow each other; `data` begins at 16, where strips can be.

    Args:
        big: Make a BigTIFF, whose offsets have 64 bits; it has no room for `mark`.
    """
    start = b"II+\0\x08\0\0\0" + bytes(8) if big else b"II*\0" + bytes(4) + mark.ljust(8, b"\0")
    file = bytearray(start + data + bytes(len(data) % 2))
    link = 8 if big else 4
    for directory in directories:
        _, link = _append(file, directory, link, "Q" if big else "I")
    return bytes(file)


def _append(
    file: bytearray, directory: Directory, link: int | None, offset: str
) -> tuple[int, int]:
    """Append a directory, and put its place where the `link` to it is; its place and its link."""
    width = struct.calcsize(offset)
    entries = []
    for tag, (kind, values) in sorted(directory.items()):
        if isinstance(values, dict):
            values = [_append(file, values, None, offset)[0]]
        content = (
            values
            if isinstance(values, bytes)
            else struct.pack(f"<{len(values)}{NUMBERS[kind]}", *values)
        )
        count = (
            len(content) if isinstance(values, bytes) else len(values) // (2 if kind == 5 else 1)
        )
        if len(content) > width:
            place = len(file)
            file += content + bytes(len(content) % 2)
            content = struct.pack("<" + offset, place)
        entries.append(struct.pack("<HH" + offset, tag, kind, count) + content.ljust(width, b"\0"))
    place = len(file)
    file += struct.pack("<Q" if offset == "Q" else "<H", len(entries)) + b"".join(entries)
    file += bytes(width)
    if link is not None:
        struct.pack_into("<" + offset, file, link, place)
    return place, len(file) - width


def strips(height: int, width: int, channels: int, *, at: int = 16) -> Directory:
    """The tags of uncompressed 8-bit pixels that lie at `at`."""
    return {
        256: (4, [width]),
        257: (4, [height]),
        258: (3, [8] * channels),
        259: (3, [1]),
        262: (3, [2 if channels > 2 else 1]),
        273: (4, [at]),
        277: (3, [channels]),
        278: (4, [height]),
        279: (4, [height * width * channels]),
    }
