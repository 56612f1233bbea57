"""The directories of a TIFF (TIFF 6.0, 2), also of files that Pillow refuses or reads otherwise."""

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from PIL.ExifTags import Base

__all__ = ["TIFF_STARTS", "Directory", "text_of", "tiff_directories"]

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""The first bytes in both byte orders. A plus marks BigTIFF, whose offsets have 64 bits."""

LARGEST_FILE = 2**62
"""Bytes; a damaged file may claim a place beyond any."""
MOST_DIRECTORIES, MOST_TAGS, MOST_NUMBERS = 64, 512, 64
NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}

Directory = dict[int, list[int]]
"""Tags and their whole numbers; for text, where it lies and how long it is."""


class _Layout(NamedTuple):
    """The formats of a file's numbers, in the notation of the module struct."""

    order: str
    offset: str
    """Offsets, and the number of values in a tag."""
    tags: str
    """The number of tags in a directory."""


def tiff_directories(file: BinaryIO) -> Iterator[Directory]:
    """Each directory of a TIFF, and the directories inside it; none of another file."""
    file.seek(0)
    start = file.read(4)
    if start not in TIFF_STARTS:
        return
    order = "<" if start[:1] == b"I" else ">"
    big = b"+" in start
    offset, count = ("Q", "Q") if big else ("I", "H")
    layout = _Layout(order, order + offset, order + count)
    file.seek(8 if big else 4)
    waiting = [_number(file, layout.offset)]
    seen: set[int] = set()
    while waiting and len(seen) < MOST_DIRECTORIES:
        place = waiting.pop(0)
        if not 0 < place < LARGEST_FILE or place in seen:
            continue
        seen.add(place)
        file.seek(place)
        directory, following = _directory(file, layout)
        yield directory
        waiting += [*directory.get(Base.SubIFDs, ()), following]


def text_of(file: BinaryIO, place: list[int] | None) -> str:
    """A tag's text of a few printable characters; empty if it is none."""
    if not place or not 4 < place[1] < 64:
        return ""
    file.seek(min(place[0], LARGEST_FILE))
    text = file.read(place[1]).split(b"\0")[0].decode("ascii", "replace").strip()
    return text if text.isprintable() else ""


def _directory(file: BinaryIO, layout: _Layout) -> tuple[Directory, int]:
    """The directory that begins here, and the place of the next one."""
    count = _number(file, layout.tags)
    head = struct.Struct(layout.order + "HH" + layout.offset[1:])
    size = head.size + struct.calcsize(layout.offset)
    entries = file.read(size * min(count, MOST_TAGS))
    file.seek(min(size * max(0, count - MOST_TAGS), LARGEST_FILE), io.SEEK_CUR)
    following = _number(file, layout.offset)
    directory: Directory = {}
    for entry in range(0, len(entries) - size + 1, size):
        tag, kind, length = head.unpack_from(entries, entry)
        field = entries[entry + head.size : entry + size]
        directory[tag] = _values(file, layout, kind, length, field)
    return directory, following


def _values(file: BinaryIO, layout: _Layout, kind: int, length: int, field: bytes) -> list[int]:
    """The first numbers of a tag; for text, where it lies and how long it is."""
    (place,) = struct.unpack(layout.offset, field)
    if kind == 2:
        return [place, length]
    if kind not in NUMBERS or not 0 < length <= MOST_NUMBERS:
        return []
    numbers = struct.Struct(f"{layout.order}{length}{NUMBERS[kind]}")
    if numbers.size > len(field):
        file.seek(min(place, LARGEST_FILE))
        field = file.read(numbers.size)
    return list(numbers.unpack_from(field)) if len(field) >= numbers.size else []


def _number(file: BinaryIO, layout: str) -> int:
    """A number, or 0 where the file ends."""
    size = struct.calcsize(layout)
    data = file.read(size)
    return int(struct.unpack(layout, data)[0]) if len(data) == size else 0
