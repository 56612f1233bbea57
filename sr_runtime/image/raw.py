"""Camera raw: files whose first directory is a preview, which must not pass for the photo."""

import struct
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from PIL.ExifTags import Base

from sr_runtime.errors import ImageError

__all__ = ["refuse_raw", "refuse_raw_page"]

STARTS = {
    b"IIRO": "ORF of Olympus",
    b"IIRS": "ORF of Olympus",
    b"MMOR": "ORF of Olympus",
    b"IIU\0": "RW2 of Panasonic",
    b"FUJIFILMCCD-RAW": "RAF of Fujifilm",
    b"FOVb": "X3F of Sigma",
    b"\0MRM": "MRW of Minolta",
    b"II\x1a\0\0\0HEAPCCDR": "CRW of Canon",
}
CR2_MARK, CR3_BRAND = b"CR", b"ftypcrx "

CFA_PATTERN = 33422  # of TIFF/EP; Pillow knows the one of EXIF
# What TIFF tags state of a sensor's data.
SENSOR_DATA = {
    Base.PhotometricInterpretation: {32803, 34892},
    Base.Compression: {32767, 32770, 34713, 65535},
}
MOST_DIRECTORIES, MOST_TAGS, MOST_NUMBERS = 64, 512, 64
NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I"}


def refuse_raw(file: BinaryIO) -> None:
    """Raise ImageError, naming what the file is, if its picture is a camera's sensor data.

    The contents decide: a raw file may be called .tif or .jpg. A TIFF is also refused if its first
    directory is smaller than a directory inside it.
    """
    file.seek(0)
    start = file.read(16)
    for mark, name in STARTS.items():
        if start.startswith(mark):
            raise _raw(name)
    if start[4:12] == CR3_BRAND:
        raise _raw("CR3 of Canon")
    if start[:4] in (b"II*\0", b"MM\0*"):
        if start[8:10] == CR2_MARK:
            raise _raw("CR2 of Canon")
        _check_directories(file, "<" if start[:1] == b"I" else ">")


def refuse_raw_page(tags: Mapping[int, Any]) -> None:
    """The same by the tags that Pillow read, for files of more than 4 GiB too (BigTIFF)."""
    if Base.DNGVersion in tags:
        raise _raw("DNG")
    if tags.get(Base.PhotometricInterpretation) in SENSOR_DATA[Base.PhotometricInterpretation]:
        raise _raw("based on TIFF")


def _check_directories(file: BinaryIO, order: str) -> None:
    first: dict[int, list[int]] | None = None
    make = ""
    largest = 0, 0
    for directory in _directories(file, order):
        if first is None:
            first = directory
            make = _text(file, directory.get(Base.Make))
        if Base.DNGVersion in directory:
            raise _raw("DNG")
        if CFA_PATTERN in directory or any(
            values & set(directory.get(tag, ())) for tag, values in SENSOR_DATA.items()
        ):
            raise _raw(f"of {make}" if make else "based on TIFF")
        largest = max(largest, _size(directory), key=lambda size: size[0] * size[1])
    if first is not None and Base.SubIFDs in first:
        width, height = _size(first)
        if width * height < largest[0] * largest[1]:
            raise ImageError(
                f"it begins with a preview of {width}×{height} pixels, and its picture of "
                f"{largest[0]}×{largest[1]} lies where images are not read: save it again as TIFF"
            )


def _directories(file: BinaryIO, order: str) -> Iterator[dict[int, list[int]]]:
    """The tags with whole numbers of each directory and of the directories inside it."""
    file.seek(4)
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
        directory: dict[int, list[int]] = {}
        for entry in range(0, len(entries) - 11, 12):
            tag, kind, length = struct.unpack_from(order + "HHI", entries, entry)
            directory[tag] = _values(file, order, kind, length, entries[entry + 8 : entry + 12])
        yield directory
        waiting += [*directory.get(Base.SubIFDs, ()), following]


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


def _size(directory: dict[int, list[int]]) -> tuple[int, int]:
    width, height = (directory.get(tag) or [0] for tag in (Base.ImageWidth, Base.ImageLength))
    return width[0], height[0]


def _text(file: BinaryIO, place: list[int] | None) -> str:
    if not place or not 4 < place[1] < 64:
        return ""
    file.seek(place[0])
    text = file.read(place[1]).split(b"\0")[0].decode("ascii", "replace").strip()
    return text if text.isprintable() else ""


def _raw(name: str) -> ImageError:
    return ImageError(
        f"this is a camera's raw file ({name}): develop it with the camera's program, darktable or "
        "RawTherapee first, and save it as TIFF or PNG"
    )
