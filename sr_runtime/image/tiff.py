"""Writing TIFF: pages of any kind, 8 or 16 bits, with their metadata.

Pillow has no 16-bit colour and writes no EXIF into a compressed TIFF; libvips writes EXIF into no
TIFF. Here Pillow writes the tags, and the rest of the format is simple.
"""

import struct
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Any, BinaryIO

from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from sr_runtime.image.color import profile_for
from sr_runtime.image.exif import exif_with_size, unchanged
from sr_runtime.image.picture import Picture

__all__ = ["LARGEST_TIFF", "add_exif", "write_tiff"]

LARGEST_TIFF = 2**32 - 2**24
"""Bytes of pixels: offsets have 32 bits, and the metadata need some room."""

STRIP_BYTES = 2**20


def write_tiff(pages: Iterable[Picture], file: BinaryIO) -> None:
    """Write the first frame of each page, uint8 or uint16: little-endian, deflate, predictor 2."""
    link = None
    for page in pages:
        tags, strips = _page(page)
        file.write(bytes(-file.tell() % 2))  # directories begin at even places
        start = max(8, file.tell())  # behind the header, which Pillow writes first
        end = tags.save(file)
        file.writelines(strips)
        if link is not None:
            _put(file, link, start)
        link = start + 2 + 12 * len(tags)
        assert link < end


def _page(page: Picture) -> tuple[ImageFileDirectory_v2, list[bytes]]:
    pixels = page.frames[0]
    height, width, channels = pixels.shape
    tags = ImageFileDirectory_v2(prefix=b"II")
    if page.exif is not None:
        add_exif(tags, exif_with_size(page.exif, width=width, height=height))
    if page.dpi is not None:
        tags[Base.XResolution], tags[Base.YResolution] = page.dpi
        tags[Base.ResolutionUnit] = 2  # inch
    if (profile := profile_for(channels, page.icc_profile)) is not None:
        tags[Base.InterColorProfile] = profile
    if page.xmp is not None:
        tags[Base.XMLPacket] = page.xmp
    if page.iptc is not None:
        tags[Base.IPTCNAA] = page.iptc
    tags[Base.ImageWidth] = width
    tags[Base.ImageLength] = height
    tags[Base.BitsPerSample] = (8 * pixels.itemsize,) * channels
    tags[Base.Compression] = 8  # deflate
    tags[Base.Predictor] = 2  # horizontal differences
    tags[Base.PhotometricInterpretation] = 2 if channels > 2 else 1  # RGB, gray
    tags[Base.SamplesPerPixel] = channels
    if channels in (2, 4):
        tags[Base.ExtraSamples] = 2  # alpha, not premultiplied

    rows = max(1, STRIP_BYTES // (width * channels * pixels.itemsize))
    strips = [pixels[top : top + rows] for top in range(0, height, rows)]
    with ThreadPoolExecutor() as threads:  # zlib releases the GIL
        packed = list(threads.map(_pack, strips))
    tags[Base.RowsPerStrip] = rows
    tags[Base.StripByteCounts] = tuple(len(strip) for strip in packed)
    # Relative to the first strip, whose offset Pillow adds.
    tags[Base.StripOffsets] = tuple(accumulate(map(len, packed[:-1]), initial=0))
    return tags, packed


def _put(file: BinaryIO, place: int, offset: int) -> None:
    """Write an offset where the directory before has its link to the next one."""
    end = file.tell()
    file.seek(place)
    file.write(struct.pack("<I", offset))
    file.seek(end)


def add_exif(tags: ImageFileDirectory_v2, exif: bytes) -> None:
    """Put the tags of `exif` into a directory."""
    stored = Image.Exif()
    stored.load(exif)
    for tag in stored:
        is_directory = tag in (IFD.Exif, IFD.GPSInfo)
        tags[tag] = stored.get_ifd(tag) if is_directory else unchanged(stored[tag])


def _pack(strip: NDArray[Any]) -> bytes:
    differences = strip.astype(strip.dtype.newbyteorder("<"), order="C")
    differences[:, 1:] -= strip[:, :-1]
    return zlib.compress(differences.data, 1)
