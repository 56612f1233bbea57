"""Camera raw: files whose first directory is a preview, which must not pass for the photo."""

from typing import BinaryIO

from PIL.ExifTags import Base

from sr_runtime.errors import ImageError
from sr_runtime.image.tiff_directories import TIFF_STARTS, Directory, text_of, tiff_directories

__all__ = ["refuse_raw"]

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
    if start[:4] in TIFF_STARTS and start[8:10] == CR2_MARK:
        raise _raw("CR2 of Canon")
    _check_directories(file)


def _check_directories(file: BinaryIO) -> None:
    first: Directory | None = None
    make = ""
    largest = 0, 0
    for directory in tiff_directories(file):
        if first is None:
            first = directory
            make = text_of(file, directory.get(Base.Make))
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


def _size(directory: Directory) -> tuple[int, int]:
    width, height = (directory.get(tag) or [0] for tag in (Base.ImageWidth, Base.ImageLength))
    return width[0], height[0]


def _raw(name: str) -> ImageError:
    return ImageError(
        f"this is a camera's raw file ({name}): develop it with the camera's program, darktable or "
        "RawTherapee first, and save it as TIFF or PNG"
    )
