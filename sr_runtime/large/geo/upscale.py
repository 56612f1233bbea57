"""A GeoTIFF from the file to its result."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from sr_runtime.large.geo.cog import write_cog
from sr_runtime.large.geo.masks import MaskedRows, write_mask
from sr_runtime.large.geo.scene import Layer, Scene
from sr_runtime.large.kept_rows import KeptRows, check_room
from sr_runtime.output_size import OutputSize
from sr_runtime.passes import Progress
from sr_runtime.row_upscaler import RowUpscaler
from sr_runtime.storage.atomic import check_target
from sr_runtime.unchanged import fact_of, unchanged

__all__ = ["upscale_geotiff"]


def upscale_geotiff(
    upscaler: RowUpscaler,
    source: Path,
    target: Path,
    made: Mapping[str, str],
    *,
    size: OutputSize,
    progress: Progress | None = None,
    writing: Progress | None = None,
) -> None:
    """Upscale a GeoTIFF by rows into a Cloud Optimized one.

    Red, green and blue go through the network together, and every other band alone, as gray.
    Masks, alpha among them, are enlarged without it. The rows of each are kept beside the result
    until it is written, as by `upscale_large`, whose other arguments these are.

    Args:
        made: What `made_with` says of the upscaler.

    Raises what `Scene`, `KeptRows`, `write_cog` and `Upscaler.upscale_stream` raise, and ImageError
    if the file changed meanwhile.
    """
    check_target(target, inputs=[source])
    file = fact_of(source)
    with Scene(source, upscaler.info.in_channels) as scene, ExitStack() as stack:
        height, width = size.target(*scene.shape, upscaler.info.scale)
        kept = [
            stack.enter_context(
                KeptRows(_named(target, layer), {"input": file, **made, "bands": str(layer.bands)})
            )
            for layer in scene.layers
        ]
        channels = sum(layer.channels for layer in scene.layers)
        there = sum(rows.file.stat().st_size for rows in kept if rows.file.exists())
        check_room(target, height * width * channels * scene.dtype.itemsize - there)
        runs = sum(not layer.is_mask for layer in scene.layers)
        run = 0

        def report(done: int, total: int) -> None:
            if progress is not None:
                progress(run * total + done, runs * total)

        with unchanged(source, file, [rows.folder for rows in kept]):
            for layer, rows in zip(scene.layers, kept, strict=True):
                if layer.is_mask:
                    write_mask(scene, layer, rows, height, width)
                    continue
                upscaler.upscale_stream(
                    scene.rows(layer),
                    MaskedRows(rows, scene, layer),
                    scale=size.scale,
                    width=size.width,
                    height=size.height,
                    progress=report,
                )
                run += 1
        if writing is not None:
            writing(0, 100)  # rasterio does not say how far GDAL is
        write_cog(scene, kept, target)
        for rows in kept:
            rows.remove()


def _named(target: Path, layer: Layer) -> Path:
    """The name beside `target` under which a layer's rows are kept."""
    if layer.bands[:1] == (1,):
        return target
    which = f"band{layer.bands[0]}" if layer.bands else "mask"
    return target.with_name(f"{target.name}.{which}")
