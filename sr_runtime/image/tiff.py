"""Writing TIFF: frames of any kind, 8 or 16 bits, with their metadata.

Pillow has no 16-bit colour and writes no EXIF into a compressed TIFF; libvips writes EXIF into no
TIFF. Here Pillow writes the tags, and the rest of the format is simple.
"""

import zlib
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from sr_runtime.image.exif import unchanged

__all__ = ["LARGEST_TIFF", "write_tiff"]

LARGEST_TIFF = 2**32 - 2**24
"""Bytes of pixels: offsets have 32 bits, and the metadata need some room."""

STRIP_BYTES = 2**20


def write_tiff(
    pixels: NDArray[Any],
    path: Path,
    *,
    icc_profile: bytes | None,
    exif: bytes | None,
    dpi: tuple[float, float] | None,
) -> None:
    """Write `(H, W, C)` uint8 or uint16 as TIFF 6.0: little-endian, deflate, predictor 2."""
    height, width, channels = pixels.shape
    tags = ImageFileDirectory_v2(prefix=b"II")
    if exif is not None:
        _add_exif(tags, exif)
    if dpi is not None:
        tags[ExifTags.Base.XResolution], tags[ExifTags.Base.YResolution] = dpi
        tags[ExifTags.Base.ResolutionUnit] = 2  # inch
    if icc_profile is not None:
        tags[ExifTags.Base.InterColorProfile] = icc_profile
    tags[ExifTags.Base.ImageWidth] = width
    tags[ExifTags.Base.ImageLength] = height
    tags[ExifTags.Base.BitsPerSample] = (8 * pixels.itemsize,) * channels
    tags[ExifTags.Base.Compression] = 8  # deflate
    tags[ExifTags.Base.Predictor] = 2  # horizontal differences
    tags[ExifTags.Base.PhotometricInterpretation] = 2 if channels > 2 else 1  # RGB, gray
    tags[ExifTags.Base.SamplesPerPixel] = channels
    if channels in (2, 4):
        tags[ExifTags.Base.ExtraSamples] = 2  # alpha, not premultiplied

    rows = max(1, STRIP_BYTES // (width * channels * pixels.itemsize))
    strips = [pixels[top : top + rows] for top in range(0, height, rows)]
    with ThreadPoolExecutor() as threads:  # zlib releases the GIL
        packed = list(threads.map(_pack, strips))
    tags[ExifTags.Base.RowsPerStrip] = rows
    tags[ExifTags.Base.StripByteCounts] = tuple(len(strip) for strip in packed)
    # Relative to the first strip, whose offset Pillow adds.
    tags[ExifTags.Base.StripOffsets] = tuple(accumulate(map(len, packed[:-1]), initial=0))
    with path.open("wb") as file:
        tags.save(file)
        file.writelines(packed)


def _add_exif(tags: ImageFileDirectory_v2, exif: bytes) -> None:
    stored = Image.Exif()
    stored.load(exif)
    for tag in stored:
        is_directory = tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
        tags[tag] = stored.get_ifd(tag) if is_directory else unchanged(stored[tag])


def _pack(strip: NDArray[Any]) -> bytes:
    differences = strip.astype(strip.dtype.newbyteorder("<"), order="C")
    differences[:, 1:] -= strip[:, :-1]
    return zlib.compress(differences.data, 1)
