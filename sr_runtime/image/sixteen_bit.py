"""PNG and TIFF of 16 bits per channel, which Pillow cannot hold in colour, through libvips."""

import importlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sr_runtime.errors import ImageError

__all__ = ["decode", "load_vips", "write_png"]

INCH = 25.4  # mm


def load_vips() -> Any:
    """The module pyvips; ImageError where it, or its library, is not installed."""
    try:
        return importlib.import_module("pyvips")
    except (ImportError, OSError) as error:
        raise ImageError(
            '16 bits per channel in colour need pyvips: pip install "sr-toolkit[vips]"'
        ) from error


def decode(data: bytes, format: Literal["PNG", "TIFF"]) -> NDArray[Any]:
    """`(H, W, C)` uint16 of a file's bytes, alpha not premultiplied; ImageError where damaged."""
    vips = load_vips()
    load = vips.Image.pngload_buffer if format == "PNG" else vips.Image.tiffload_buffer
    try:
        image = load(data, fail_on="error")
        pixels: NDArray[Any] = np.frombuffer(image.write_to_memory(), np.uint16)
    except vips.Error as error:
        raise ImageError(f"the file is damaged ({' '.join(error.detail.split())})") from error
    return pixels.reshape(image.height, image.width, image.bands)


def write_png(
    pixels: NDArray[Any],
    path: Path,
    *,
    compression: int,
    icc_profile: bytes | None,
    exif: bytes | None,
    dpi: tuple[float, float] | None,
) -> None:
    """Write `(H, W, C)` uint16; OSError where the file cannot be written."""
    vips = load_vips()
    height, width, channels = pixels.shape
    image = vips.Image.new_from_memory(
        np.ascontiguousarray(pixels).data, width, height, channels, "ushort"
    ).copy(interpretation="grey16" if channels < 3 else "rgb16")
    if dpi is not None:
        image = image.copy(xres=dpi[0] / INCH, yres=dpi[1] / INCH)
    for name, value in (("icc-profile-data", icc_profile), ("exif-data", exif)):
        if value is not None:
            image.set_type(vips.GValue.blob_type, name, value)
    # libvips makes up EXIF where there is none, unless it is told what to keep.
    keep = "icc" if exif is None else "all"
    content: bytes = image.pngsave_buffer(compression=compression, keep=keep)
    path.write_bytes(content if dpi is not None else _without_resolution(content))


def _without_resolution(png: bytes) -> bytes:
    """Without the chunk pHYs: libvips states a pixel per mm where the resolution is not known."""
    start = png.index(b"pHYs") - 4  # the length of its 9 bytes comes first, and a checksum last
    return png[:start] + png[start + 21 :]
