"""Which files are upscaled by rows: the one decision for the command line and for Python."""

import warnings
from pathlib import Path

from sr_runtime.errors import ArgumentError, about
from sr_runtime.image import DEFAULT_MAX_PIXELS, Header, Output
from sr_runtime.image.frames import check_size
from sr_runtime.image.geotiff import geotiff_size
from sr_runtime.image.header import check_max_pixels, header_of, reading
from sr_runtime.image.tiff import LARGEST_TIFF
from sr_runtime.large.kept_rows import has_kept_rows
from sr_runtime.large.output import LargeOutput
from sr_runtime.memory.free import free_memory
from sr_runtime.memory.result import WORTH_ASKING, Enlargement
from sr_runtime.output_size import OutputSize
from sr_runtime.tileable import Tileable

__all__ = ["goes_by_rows"]


def goes_by_rows(
    source: Path,
    output: Output | LargeOutput,
    *,
    size: OutputSize,
    scale: int,
    tileable: Tileable | None,
    max_pixels: int | None,
) -> bool:
    """Whether a file is upscaled by rows, by `upscale_large`.

    It is if it is too large for memory, a GeoTIFF to become one, or to become a Deep Zoom image;
    and if an interrupted run left rows of its result, however much memory is free now.

    Args:
        scale: The model's.
        tileable: A texture is not upscaled by rows.
        max_pixels: More are refused; None: an image of more than `DEFAULT_MAX_PIXELS` goes by rows.

    Raises:
        ImageError: The file has more pixels than `max_pixels`.
        ArgumentError: `max_pixels` is not a whole number, at least 1; or a texture is to become a
            Deep Zoom image.
    """
    if max_pixels is not None:
        check_max_pixels(max_pixels)
    is_deep_zoom = isinstance(output, LargeOutput)
    if is_deep_zoom and tileable is not None:
        raise ArgumentError(
            "a Deep Zoom image is made by rows, which tileable is not: name a .png", path=source
        )
    with reading(source):
        if not source.is_file():  # what is read from a pipe now would be missing later
            return is_deep_zoom
    header, place = header_of(source), geotiff_size(source)
    # Pillow does not know a TIFF of five bands.
    height, width = (header.height, header.width) if header else place or (0, 0)
    if max_pixels is not None:
        with about(source):
            check_size(width, height, 1, max_pixels)
    if is_deep_zoom:
        return True
    if place is not None and tileable is None and output.format == "tiff":
        return True
    if place is not None:
        way = (
            f"in {output.format}: name a .tif"
            if tileable is None
            else "with tileable: leave it out"
        )
        warnings.warn(
            f"{source}: its place on the Earth is not kept {way} to keep it",
            RuntimeWarning,
            stacklevel=2,
        )
    if header is None or tileable is not None:
        return False
    if max_pixels is None and height * width > DEFAULT_MAX_PIXELS:
        return True
    if header.frames > 1:
        return False
    return has_kept_rows(output.path) or _is_too_large(header, output.format, size, scale)


def _is_too_large(header: Header, format: str, size: OutputSize, scale: int) -> bool:
    """Whether a still's result would be refused in memory, or as a TIFF that is written there."""
    rows, columns = header.height, header.width
    target = size.target(rows, columns, scale)
    frame = Enlargement(
        height=rows,
        width=columns,
        channels=(1 if header.gray else 3) + header.alpha,
        itemsize=2 if header.bits > 8 else 1,
        varying_alpha=header.alpha,
        factor=scale ** size.passes(rows, columns, scale),
        scale=scale,
        target=target,
    )
    if format == "tiff" and frame.result_bytes() > LARGEST_TIFF:
        return True
    needed = frame.peak_bytes()
    free = free_memory() if needed > WORTH_ASKING else None
    return free is not None and needed > free
