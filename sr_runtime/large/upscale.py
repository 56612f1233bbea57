"""An image file too large for memory, from the file to its result."""

import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sr_runtime.errors import ImageError
from sr_runtime.image import DEFAULT_MAX_PIXELS, Header
from sr_runtime.image.geotiff import is_geotiff
from sr_runtime.image.header import reading
from sr_runtime.image.tiff import LARGEST_TIFF
from sr_runtime.large.geo.upscale import upscale_geotiff
from sr_runtime.large.kept_rows import KeptRows
from sr_runtime.large.output import LargeOutput
from sr_runtime.large.source import LargeFile
from sr_runtime.made_with import input_fact, made_with
from sr_runtime.memory.free import free_memory
from sr_runtime.memory.result import WORTH_ASKING, Enlargement
from sr_runtime.output_size import OutputSize
from sr_runtime.passes import Progress
from sr_runtime.upscaler import Upscaler

__all__ = ["goes_by_rows", "large_result", "upscale_large"]


def goes_by_rows(
    source: Path,
    header: Header | None,
    format: str,
    *,
    size: OutputSize,
    upscaler: Upscaler,
    max_pixels: int | None,
) -> bool:
    """Whether a file is upscaled by rows: it is too large for memory, or a GeoTIFF to become one.

    Args:
        header: None for a file that is not read in memory, as a GeoTIFF of five bands.
        max_pixels: What reading in memory refuses; None: such a file is read by rows.
    """
    pixels = 0 if header is None else header.height * header.width
    if max_pixels is not None and pixels > max_pixels:
        return False
    if is_geotiff(source):
        if format == "tiff":
            return True
        warnings.warn(
            f"{source}: its place on the Earth is not kept in {format}: name a .tif to keep it",
            RuntimeWarning,
            stacklevel=2,
        )
    if header is None:
        return False
    if max_pixels is None and pixels > DEFAULT_MAX_PIXELS:
        return True
    return _is_too_large(header, format, size, upscaler)


def _is_too_large(header: Header, format: str, size: OutputSize, upscaler: Upscaler) -> bool:
    """Whether a still's result would be refused in memory, or as a TIFF that is written there."""
    if header.frames > 1:
        return False
    rows, columns, scale = header.height, header.width, upscaler.info.scale
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


def upscale_large(
    upscaler: Upscaler,
    source: str | os.PathLike[str],
    output: LargeOutput,
    *,
    size: OutputSize,
    progress: Progress | None = None,
) -> None:
    """Upscale a file by rows, in about 2 GB of memory whatever its height.

    The rows that are done are kept beside the result, in a folder of its name with `.part`, until
    it is written. An interrupted call is gone on with by the same one.

    Raises what `large_result` and `Upscaler.upscale_stream` raise.
    """
    path, made = Path(source), made_with(upscaler)
    if output.format == "tiff" and is_geotiff(path):
        made_from = {"input": input_fact(path), **made}
        upscale_geotiff(upscaler, path, output.path, made_from, size=size, progress=progress)
        return
    with large_result(path, output, size, upscaler.info.scale, made) as (reader, kept):
        upscaler.upscale_stream(
            reader, kept, scale=size.scale, width=size.width, height=size.height, progress=progress
        )


@contextmanager
def large_result(
    source: Path, output: LargeOutput, size: OutputSize, scale: int, made: Mapping[str, str]
) -> Iterator[tuple[LargeFile, KeptRows]]:
    """The rows of a file, and what keeps those of its result, which is written after the block.

    Args:
        scale: The model's.
        made: What `made_with` says of the upscaler.

    Raises what `LargeFile`, `LargeOutput` and `KeptRows` raise, and ImageError if the file changed
    meanwhile.
    """
    file = _fact_of(source)
    reader = LargeFile(source)
    rows, columns, _ = reader.shape
    height, width = size.target(rows, columns, scale)
    output.check(reader.picture, source, height=height, width=width)
    with KeptRows(output.path, {"input": file, **made}) as kept:
        yield reader, kept
        if _fact_of(source) != file:
            raise ImageError(
                "the file changed while it was upscaled, so that rows of both may be mixed in the "
                f"result: delete the folder {kept.folder} and upscale it again",
                path=source,
            )
        output.write(kept, reader.picture)
        kept.remove()


def _fact_of(source: Path) -> str:
    with reading(source):
        return input_fact(source)
