"""The formats of image files: their suffixes, what reads them, and what is known but not read."""

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any, Literal

from sr_runtime.errors import ImageError, require_extra

__all__ = [
    "FORMATS",
    "IMAGE_SUFFIXES",
    "LEFT_OUT",
    "LOSSLESS_FORMATS",
    "QUALITY_FORMATS",
    "SUFFIXES",
    "Format",
    "formats_for",
    "load_plugin",
]

# Pillow knows more formats; EPS would run Ghostscript on the file, others are cut to 8 bits.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM", "QOI", "TGA")

# fmt: off
ALWAYS = {
    ".apng", ".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm",
    ".pgm", ".png", ".ppm", ".qoi", ".tga", ".tif", ".tiff", ".webp",
}
WITH_PLUGIN = {
    "pillow_heif": {".heic", ".heif", ".hif"},
    "pillow_jxl": {".jxl"},
}
RAW = {
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos",
    ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw",
    ".x3f",
}
OTHERS = {".dds", ".eps", ".exr", ".hdr", ".icns", ".ico", ".psb", ".psd", ".svg", ".xcf"}
# fmt: on


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


_MISSING = {
    suffix
    for module, suffixes in WITH_PLUGIN.items()
    if not _installed(module)
    for suffix in suffixes
}

IMAGE_SUFFIXES = frozenset(ALWAYS.union(*WITH_PLUGIN.values()) - _MISSING)
"""The images of a folder that can be read here; a file named explicitly may have any suffix."""

LEFT_OUT: Mapping[str, str] = (
    dict.fromkeys(sorted(_MISSING), 'pip install "sr-toolkit[formats]"')
    | dict.fromkeys(sorted(RAW), "camera raw: develop it first")
    | dict.fromkeys(sorted(OTHERS), "not a format that is read")
)
"""Suffixes of pictures that a folder may hold and that are not read, and what to do about it."""

Format = Literal["png", "jpg", "webp", "tiff", "gif", "avif", "jxl"]

SUFFIXES: dict[str, Format] = {
    ".png": "png",
    ".jpg": "jpg",
    ".jpeg": "jpg",
    ".jpe": "jpg",
    ".jfif": "jpg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".gif": "gif",
    ".avif": "avif",
    ".jxl": "jxl",
}
"""What can be written, and in which format."""

QUALITY_FORMATS: tuple[Format, ...] = ("jpg", "webp", "avif", "jxl")
"""What takes a quality of 1 to 100."""
LOSSLESS_FORMATS: tuple[Format, ...] = ("webp", "jxl", "png", "tiff")
"""What takes the quality "lossless"; png and tiff always are."""

HEIF_BRANDS = {
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs",
}  # fmt: skip
JXL_STARTS = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")


def formats_for(start: bytes) -> tuple[str, ...]:
    """The formats of Pillow for a file that begins with `start`, of 64 bytes or more.

    Loads the plug-in that the file needs. Raises ImageError if it is not installed.
    """
    if start.startswith(JXL_STARTS):
        load_plugin("pillow_jxl")
        return ("JXL",)
    if _is_heif(start):
        load_plugin("pillow_heif").register_heif_opener()
        return ("HEIF",)
    return FORMATS


def load_plugin(module: Literal["pillow_heif", "pillow_jxl"]) -> Any:
    """A plug-in of Pillow; ImageError if it is not installed. Importing pillow_jxl registers it."""
    with require_extra("formats", raising=ImageError):
        return importlib.import_module(module)


def _is_heif(start: bytes) -> bool:
    """Whether the brands of an ISO base media file name HEVC; AVIF has the same container."""
    if start[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(start[:4]), len(start))
    brands = {start[8:12], *(start[place : place + 4] for place in range(16, end, 4))}
    return bool(brands & HEIF_BRANDS) and not brands & {b"avif", b"avis"}
