"""PNG and TIFF of 16 bits per channel, which Pillow cannot hold in colour, through libvips."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sr_runtime.errors import ImageError

__all__ = ["decode", "encode_png", "load_vips"]

INCH = 25.4  # mm


def load_vips() -> Any:
    """The module pyvips; ImageError if it, or its library, is not installed."""
    try:
        return importlib.import_module("pyvips")
    except (ImportError, OSError) as error:
        raise ImageError(
            "colour of 16 bits per channel, and images too large for memory, need pyvips: "
            'pip install "sr-toolkit[vips]"'
        ) from error


def decode(data: bytes, format: Literal["PNG", "TIFF"], *, page: int = 0) -> NDArray[Any]:
    """`(H, W, C)` uint16 from a file's bytes, alpha not premultiplied.

    Raises ValueError, as Pillow does, if the file is damaged or memory runs out.
    """
    vips = load_vips()
    with _errors_as_pillows(vips):
        if format == "PNG":
            # Its limit is on text, which the data do not have.
            image = vips.Image.pngload_buffer(data, fail_on="error", unlimited=True)
        else:
            image = vips.Image.tiffload_buffer(data, fail_on="error", page=page)
        pixels: NDArray[Any] = np.frombuffer(image.write_to_memory(), np.uint16)
    return pixels.reshape(image.height, image.width, image.bands)


def encode_png(
    pixels: NDArray[Any],
    *,
    compression: int,
    icc_profile: bytes | None,
    exif: bytes | None,
    dpi: tuple[float, float] | None,
) -> bytes:
    """A PNG of `(H, W, C)` uint16. Raises ValueError if libvips refuses."""
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
    # libvips adds EXIF to an image that has none, unless only the profile is kept.
    keep = "icc" if exif is None else "all"
    with _errors_as_pillows(vips):
        content: bytes = image.pngsave_buffer(compression=compression, keep=keep)
    return content if dpi is not None else _without_resolution(content)


def _without_resolution(png: bytes) -> bytes:
    """Without the chunk pHYs: libvips states one pixel per mm for an unknown resolution."""
    start = png.index(b"pHYs") - 4  # 4 bytes of length, the name, 9 bytes of data, 4 of checksum
    return png[:start] + png[start + 21 :]


@contextmanager
def _errors_as_pillows(vips: Any) -> Iterator[None]:
    """Raise errors of libvips as ValueErrors, whose meaning `reader` and `writer` know."""
    try:
        yield
    except vips.Error as error:
        raise ValueError(" ".join(error.detail.split())) from error
