"""An image file too large for memory, from the file to its result."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sr_runtime.image.geotiff import is_geotiff
from sr_runtime.large.geo.upscale import upscale_geotiff
from sr_runtime.large.kept_rows import KeptRows
from sr_runtime.large.output import LargeOutput
from sr_runtime.large.source import LargeFile
from sr_runtime.made_with import made_with
from sr_runtime.output_size import OutputSize
from sr_runtime.passes import Progress
from sr_runtime.row_upscaler import RowUpscaler
from sr_runtime.unchanged import fact_of, unchanged

__all__ = ["large_result", "upscale_large"]


def upscale_large(
    upscaler: RowUpscaler,
    source: str | os.PathLike[str],
    output: LargeOutput,
    *,
    size: OutputSize,
    progress: Progress | None = None,
    writing: Progress | None = None,
) -> None:
    """Upscale a file by rows, in about 2 GB of memory whatever its height.

    The rows that are done are kept beside the result, in a folder of its name with `.part`, until
    it is written. An interrupted call is gone on with by the same one.

    Args:
        writing: Called with (per cent, 100) of the file that is written in the end, on this thread.
            What it raises ends the call.

    Raises what `large_result` and `Upscaler.upscale_stream` raise.
    """
    path, made = Path(source), made_with(upscaler)
    if output.format == "tiff" and is_geotiff(path):
        upscale_geotiff(
            upscaler, path, output.path, made, size=size, progress=progress, writing=writing
        )
        return
    scale = upscaler.info.scale
    with large_result(path, output, size, scale, made, writing) as (reader, kept):
        upscaler.upscale_stream(
            reader, kept, scale=size.scale, width=size.width, height=size.height, progress=progress
        )


@contextmanager
def large_result(
    source: Path,
    output: LargeOutput,
    size: OutputSize,
    scale: int,
    made: Mapping[str, str],
    writing: Progress | None = None,
) -> Iterator[tuple[LargeFile, KeptRows]]:
    """The rows of a file, and what keeps those of its result, which is written after the block.

    Args:
        scale: The model's.
        made: What `made_with` says of the upscaler.
        writing: As in `upscale_large`.

    Raises what `LargeFile`, `LargeOutput` and `KeptRows` raise, and ImageError if the file changed
    meanwhile.
    """
    file = fact_of(source)
    reader = LargeFile(source)
    rows, columns, _ = reader.shape
    height, width = size.target(rows, columns, scale)
    output.check(reader.picture, source, height=height, width=width)
    with KeptRows(output.path, {"input": file, **made}) as kept:
        with unchanged(source, file, [kept.folder]):
            yield reader, kept
        output.write(kept, reader.picture, writing)
        kept.remove()
