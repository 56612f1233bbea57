"""The directories of a TIFF (TIFF 6.0, 2), also of files that Pillow refuses or reads otherwise."""

import struct
from collections.abc import Iterator
from typing import BinaryIO

from PIL.ExifTags import Base

__all__ = ["TIFF_STARTS", "Directory", "text_of", "tiff_directories"]

TIFF_STARTS = (b"II*\0", b"MM\0*")

MOST_DIRECTORIES, MOST_TAGS, MOST_NUMBERS = 64, 512, 64
NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I"}

Directory = dict[int, list[int]]
"""Tags and their whole numbers; for text, where it lies and how long it is."""


def tiff_directories(file: BinaryIO) -> Iterator[Directory]:
    """Each directory of a TIFF, and the directories inside it; none of another file."""
    file.seek(0)
    start = file.read(4)
    if start not in TIFF_STARTS:
        return
    order = "<" if start[:1] == b"I" else ">"
    waiting = [_number(file, order + "I")]
    seen: set[int] = set()
    while waiting and len(seen) < MOST_DIRECTORIES:
        place = waiting.pop(0)
        if not place or place in seen:
            continue
        seen.add(place)
        file.seek(place)
        count = _number(file, order + "H")
        entries = file.read(12 * count)[: 12 * MOST_TAGS]
        following = _number(file, order + "I")
        directory: Directory = {}
        for entry in range(0, len(entries) - 11, 12):
            tag, kind, length = struct.unpack_from(order + "HHI", entries, entry)
            directory[tag] = _values(file, order, kind, length, entries[entry + 8 : entry + 12])
        yield directory
        waiting += [*directory.get(Base.SubIFDs, ()), following]


def text_of(file: BinaryIO, place: list[int] | None) -> str:
    """A tag's text of a few printable characters; empty if it is none."""
    if not place or not 4 < place[1] < 64:
        return ""
    file.seek(place[0])
    text = file.read(place[1]).split(b"\0")[0].decode("ascii", "replace").strip()
    return text if text.isprintable() else ""


def _values(file: BinaryIO, order: str, kind: int, length: int, field: bytes) -> list[int]:
    """The first numbers of a tag; for text, where it lies and how long it is."""
    if kind == 2:
        return [struct.unpack(order + "I", field)[0], length]
    if kind not in NUMBERS or not 0 < length <= MOST_NUMBERS:
        return []
    layout = f"{order}{length}{NUMBERS[kind]}"
    size = struct.calcsize(layout)
    if size > 4:
        file.seek(struct.unpack(order + "I", field)[0])
        field = file.read(size)
    return list(struct.unpack(layout, field[:size])) if len(field) >= size else []


def _number(file: BinaryIO, layout: str) -> int:
    """A number, or 0 where the file ends."""
    size = struct.calcsize(layout)
    data = file.read(size)
    return int(struct.unpack(layout, data)[0]) if len(data) == size else 0
