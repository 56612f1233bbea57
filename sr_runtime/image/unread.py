"""What to say of a file that Pillow does not open: what it is, by its first bytes."""

from pathlib import Path
from typing import BinaryIO

from sr_runtime.errors import ImageError
from sr_runtime.file_kinds import HEAD, VIDEO_SUFFIXES, begins_as_video
from sr_runtime.image.formats import FORMATS
from sr_runtime.image.tiff_compression import unread_tiff
from sr_runtime.image.tiff_directories import TIFF_STARTS

__all__ = ["unread"]

# Formats that are read, with what makes a sound file unreadable.
READ = {
    b"\x89PNG": "a PNG, and is damaged",
    b"\xff\xd8\xff": "a JPEG, and is damaged, lossless or of 12 bits",
    b"GIF8": "a GIF, and is damaged",
    b"BM": "a BMP, and is damaged or of a rare kind",
    b"RIFF": "a WebP or another RIFF file, and is damaged or no image",
    b"qoif": "a QOI, and is damaged",
    b"\0\0\0\x0cjP  ": "a JPEG 2000, and is damaged or of a rare kind",
}
OTHERS = {
    b"8BPS": "a Photoshop document: save it as PNG or TIFF",
    b"%PDF": "a PDF: export its pages as PNG",
    b"%!PS": "PostScript: export it as PNG",
    b"gimp xcf": "a GIMP document: export it as PNG",
    b"\x76\x2f\x31\x01": "OpenEXR, which holds high dynamic range: convert it to sRGB of 16 bits",
    b"#?RADIANCE": "Radiance, which holds high dynamic range: convert it to sRGB of 16 bits",
    b"DDS ": "a DDS texture: convert it to PNG",
    b"\0\0\1\0": "an icon: save one of its pictures as PNG",
    b"icns": "an icon: save one of its pictures as PNG",
    b"<svg": "SVG, which has no pixels: export it as PNG",
    b"<?xml": "XML and no pixels: export the picture as PNG",
    b"<!DOCTYPE": "a web page: download the file itself",
    b"<html": "a web page: download the file itself",
    b"version https://git-lfs": "a pointer of Git LFS: run git lfs pull",
}


def unread(file: BinaryIO, start: bytes) -> ImageError:
    """The error for a file that begins with `start` and was not opened."""
    suffix = Path(str(getattr(file, "name", ""))).suffix.lower()
    file.seek(0)
    named_video = suffix in VIDEO_SUFFIXES and not begins_as_video(file.read(HEAD))
    wanted = "a readable video" if named_video else "an image that can be read"
    if not start:
        return ImageError(f"not {wanted}: the file is empty")
    if start.startswith(TIFF_STARTS):
        return unread_tiff(file)
    for mark, what in READ.items():
        if start.startswith(mark):
            return ImageError(f"it begins as {what}: save it again as PNG, or leave it out")
    if start[4:8] == b"ftyp":
        return ImageError(
            "it begins as an AVIF or a video, and is damaged, no image or of more than 32768 "
            "pixels a side: save it again as PNG, or leave it out"
        )
    for mark, what in OTHERS.items():
        if start.lstrip().startswith(mark):
            return ImageError(f"not {wanted}, but {what}")
    if named_video:
        return ImageError("not a readable video: it does not begin as one: download it again")
    known = ", ".join(FORMATS)
    return ImageError(f"not an image that can be read ({known}, HEIC and JPEG XL)")
