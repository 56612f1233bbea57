"""Encoding an image of libvips into a file, with the metadata that libvips would leave out.

It writes no comment into a JPEG, no EXIF into a TIFF, and leaves long tags out of a PNG's.
"""

import os
import struct
from pathlib import Path
from typing import Any

from sr_runtime.image import Picture
from sr_runtime.image.bigtiff_exif import append_exif
from sr_runtime.image.comment import comment_of
from sr_runtime.image.encode import LARGEST_SEGMENT, PNG_COMPRESSION
from sr_runtime.image.formats import Format
from sr_runtime.image.png import append_texts
from sr_runtime.image.sixteen_bit import load_vips

__all__ = ["encode"]

TILE = 256
"""Side of a TIFF's tiles, which viewers of large images load one by one."""
START, COMMENT, FILL = b"\xff\xd8", b"\xff\xfe", b"\xff\xff"  # ITU-T T.81, table B.1 and B.1.1.2


def encode(image: Any, file: Path, format: Format, picture: Picture, quality: int | str) -> None:
    """Write `image`, which has the profile, EXIF, XMP and IPTC of `picture`, as png, jpg or tiff.

    Args:
        quality: 1 to 100 for jpg.
    """
    keep = "icc:xmp:iptc"
    match format:
        case "png":
            image.pngsave(os.fspath(file), compression=PNG_COMPRESSION, keep=keep)
            exif = [(b"eXIf", _exif(image))] if picture.exif is not None else []
            append_texts(file, [*picture.png_text, *exif])
        case "jpg":
            comment = comment_of(picture.png_text) or b""
            head = _comment(comment) if 0 < len(comment) <= LARGEST_SEGMENT else b""
            # libvips adds EXIF to an image that has none, unless only others are kept.
            kept = f"{keep}:exif" if picture.exif is not None else keep
            _save_jpeg(image, file, head, Q=quality, subsample_mode="off", keep=kept)
        case "tiff":
            image.tiffsave(
                os.fspath(file),
                tile=True,
                tile_width=TILE,
                tile_height=TILE,
                compression="deflate",
                predictor="horizontal",
                level=1,
                bigtiff=True,
                keep=keep,
            )
            if picture.exif is not None:
                append_exif(file, _exif(image))


def _exif(image: Any) -> bytes:
    """The EXIF of an image, which begins with the order of its bytes."""
    exif: bytes = image.get("exif-data")
    return exif.removeprefix(b"Exif\0\0")


def _comment(comment: bytes) -> bytes:
    """The start of a JPEG and a comment, which libvips does not write."""
    return START + COMMENT + struct.pack(">H", 2 + len(comment)) + comment


def _save_jpeg(image: Any, file: Path, head: bytes, **options: Any) -> None:
    """Save behind `head`, if there is one, which has the start of the JPEG already."""
    with file.open("wb", buffering=0) as jpeg:
        jpeg.write(head)
        image.jpegsave_target(load_vips().Target.new_to_descriptor(jpeg.fileno()), **options)
        if head:
            jpeg.seek(len(head))
            jpeg.write(FILL)  # instead of the start that libvips has written
