"""EXIF for a BigTIFF that is written already: libvips writes none into a TIFF.

The tags go behind the pixels, with a new first directory that has those of the old one, too.
"""

import io
import struct
from pathlib import Path

from PIL.ExifTags import IFD
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from sr_runtime.image.tiff import add_exif

__all__ = ["append_exif"]

HEADER, ENTRY = 8, 20
"""Bytes: the number of tags before those of a directory, and each of them."""
LONG8 = 16
"""The type of a place of 64 bits, where Pillow states one of 32, too few behind 4 GB."""


def append_exif(file: Path, exif: bytes) -> None:
    """Add the tags of `exif` that the first directory does not have."""
    with file.open("r+b") as tiff:
        prefix = tiff.read(2)
        order = "<" if prefix == b"II" else ">"
        tiff.seek(8)
        tiff.seek(*struct.unpack(f"{order}Q", tiff.read(8)))
        (count,) = struct.unpack(f"{order}Q", tiff.read(HEADER))
        old = tiff.read(ENTRY * count)

        tags = ImageFileDirectory_v2(prefix + struct.pack(f"{order}HHHQ", 43, 8, 0, 0))
        add_exif(tags, exif)
        end = tiff.seek(0, io.SEEK_END)
        start = end + end % 2  # what a tag refers to lies at an even place
        added = tags.tobytes(start)
        entries = {}
        for content in (added[HEADER : HEADER + ENTRY * len(tags)], old):
            for place in range(0, len(content), ENTRY):
                entry = content[place : place + ENTRY]
                tag, kind = struct.unpack_from(f"{order}HH", entry)
                if tag in (IFD.Exif, IFD.GPSInfo):
                    kind = LONG8
                entries[tag] = struct.pack(f"{order}HH", tag, kind) + entry[4:]
        number = struct.pack(f"{order}Q", len(entries))
        tiff.write(bytes(start - end) + added)
        tiff.write(number + b"".join(entries[tag] for tag in sorted(entries)) + bytes(8))
        tiff.seek(8)
        tiff.write(struct.pack(f"{order}Q", start + len(added)))
