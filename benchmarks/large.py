"""What images take that are upscaled by rows: megapixels a second, peak memory, and disk.

Photos of that size are not at hand everywhere. So each is a mosaic of smaller ones, at their own
resolution, in a TIFF in tiles. A new process upscales it by rows, as the command line does with an
image that is too large for memory, and the system reports its peak memory.
"""

import multiprocessing
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import sr_runtime
from benchmarks.arguments import size
from benchmarks.data import in_data
from benchmarks.json_file import write_json
from benchmarks.machine import processor, require_peak_memory
from benchmarks.photo import mosaic
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser, nonempty, path
from sr_runtime.embedded import DEFAULT
from sr_runtime.image.sixteen_bit import load_vips
from sr_runtime.large.geo.scene import load_rasterio
from sr_runtime.large.output import LargeOutput
from sr_runtime.large.upscale import upscale_large
from sr_runtime.output_size import OutputSize
from sr_runtime.storage.atomic import check_target

FORMATS = ("tif", "geotiff", "png", "dzi")
SIZES = (3000, 1200), (3000, 4800)
"""The same width at two heights: only what grows with the height differs."""
REPEATED = 1024
"""Rows of the mosaic; further ones are the same again."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One image."""

    size: str
    """Of the source."""
    format: str
    network_seconds: float
    """Reading and keeping the rows included, which go on meanwhile."""
    encoding_seconds: float
    """From the kept rows to the result."""
    megapixels_a_second: float
    """Of the result, by both."""
    peak_gb: float
    kept_gb: float
    """The rows on the disk before they are encoded."""
    result_gb: float


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0, or 2 after an error."""
    return run_cli(lambda words: _run(**vars(parser().parse_args(words))), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m benchmarks.large",
        description=__doc__,
        examples={"": "", "--size 30000x300 --format geotiff": ""},
    )
    made.add_argument(
        "--size", nargs="+", type=size, metavar="WxH",
        help="widths and heights in pixels (default: 3000x1200 3000x4800)",
    )  # fmt: skip
    made.add_argument(
        "--format", choices=FORMATS, default="tif",
        help="what it becomes; a GeoTIFF is made of one (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "-m", "--model", type=nonempty, default=DEFAULT,
        help="a model's name or file, as for upscale (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "-o", "--output", type=path, metavar="JSON",
        help="write the results here too (default: print them only)",
    )  # fmt: skip
    return made


def _run(
    size: Sequence[tuple[int, int]] | None, format: str, model: str, output: Path | None
) -> int:
    require_peak_memory()
    if output is not None:
        check_target(output)
    machine = f"{processor()}, {os.cpu_count()} cores"
    print(f"{model} on {machine}")
    print("| source | network | encoding | result | peak memory | rows kept | file |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    results = []
    for width, height in size or SIZES:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "large.tif")
            write_source(source, width, height, geo=format == "geotiff")
            target = Path(folder, f"result.{'tif' if format == 'geotiff' else format}")
            # A process of its own, whose peak is that of this image alone.
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(1, context) as process:
                each = process.submit(measured, source, target, model, format).result()
        results.append(each)
        print(
            f"| {each.size}, {format} | {each.network_seconds:.1f} s | "
            f"{each.encoding_seconds:.1f} s | {each.megapixels_a_second:.1f} MP/s | "
            f"{each.peak_gb:.2f} GB | {each.kept_gb:.2f} GB | {each.result_gb:.2f} GB |",
            flush=True,
        )
    if output is not None:
        facts = {"machine": machine, "model": model}
        write_json(output, facts | {"images": [asdict(each) for each in results]})
    return 0


def write_source(file: Path, width: int, height: int, *, geo: bool) -> None:
    """A TIFF in tiles, filled with the photos of SR_DATA again and again."""
    photos = sorted(in_data("photos").iterdir())
    rows = min(height, REPEATED)
    image = load_vips().Image.new_from_array(np.asarray(mosaic(photos, width, rows)))
    image = image.replicate(1, -(-height // rows)).crop(0, 0, width, height)
    image.tiffsave(str(file), tile=True, tile_width=256, tile_height=256, compression="deflate")
    if geo:
        rasterio = load_rasterio()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            scene = rasterio.open(file, "r+")
        with scene:
            scene.crs = "EPSG:32633"
            scene.transform = rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)


def measured(source: Path, target: Path, model: str, format: str) -> Measured:
    """Upscale `source` to `target` in this process, which does nothing else."""
    import resource  # not on Windows

    ended = 0.0

    def progress(done: int, total: int) -> None:
        nonlocal ended
        ended = time.perf_counter()

    with sr_runtime.load(model) as upscaler:
        started = time.perf_counter()
        output = LargeOutput(target)
        upscale_large(upscaler, source, output, size=OutputSize(), progress=progress)
        finished = time.perf_counter()
        scale = upscaler.info.scale
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    image = load_vips().Image.new_from_file(str(source))
    pixels = image.width * image.height * scale**2
    files = [target, *target.parent.glob(f"{target.stem}_files/**/*")]
    return Measured(
        size=f"{image.width}×{image.height}",
        format=format,
        network_seconds=round(ended - started, 2),
        encoding_seconds=round(finished - ended, 2),
        megapixels_a_second=round(pixels / 1e6 / (finished - started), 2),
        peak_gb=round(peak * (1 if sys.platform == "darwin" else 1024) / 1e9, 3),
        kept_gb=round(pixels * image.bands / 1e9, 3),
        result_gb=round(sum(file.stat().st_size for file in files) / 1e9, 3),
    )


if __name__ == "__main__":
    sys.exit(main())
