"""What one photo of many megapixels takes: seconds, peak memory, and the size of the result.

Photos of that size are not at hand everywhere, and an enlarged one would be blurred, which PNG
stores in little space. So the photo is a mosaic of the given ones, each at its own resolution. For
each format a new process upscales it from file to file, and the system reports its peak memory.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import PIL.Image

from benchmarks.arguments import size
from benchmarks.machine import processor, require_peak_memory
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser, nonempty, path
from sr_runtime.embedded import DEFAULT
from sr_runtime.errors import SRError

FORMATS = ("jpg", "png")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0, or 2 after an error."""
    return run_cli(lambda words: _run(**vars(parser().parse_args(words))), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m benchmarks.photo",
        description=__doc__,
        examples={"holiday/*.jpg": "", "photo.jpg --size 6000x4000": "24 megapixels"},
    )
    made.add_argument(
        "photos", nargs="+", type=path, metavar="PHOTO", help="photos to make the large one of"
    )
    made.add_argument(
        "--size", type=size, default="4000x3000", metavar="WxH",
        help="its width and height in pixels (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "-m", "--model", type=nonempty, default=DEFAULT,
        help="a model's name or file, as for upscale (default: %(default)s)",
    )  # fmt: skip
    return made


def _run(photos: Sequence[Path], size: tuple[int, int], model: str) -> int:
    require_peak_memory()
    width, height = size
    print(f"{width}×{height} with {model} on {processor()}, {os.cpu_count()} cores")
    print("| result | seconds | peak memory | file |\n|---|--:|--:|--:|")
    PIL.Image.MAX_IMAGE_PIXELS = None  # results are larger than Pillow's limit
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "photo.jpg")
        mosaic(photos, width, height).save(source, quality=92)
        for suffix in FORMATS:
            target = Path(folder, f"large.{suffix}")
            seconds, peak = upscale(source, target, model)
            with PIL.Image.open(target) as large:
                result = f"{large.width}×{large.height}"
            print(
                f"| {result}, {suffix.upper()} | {seconds:.0f} | {peak / 1e9:.1f} GB | "
                f"{target.stat().st_size / 1e6:.0f} MB |",
                flush=True,
            )
            target.unlink()
    return 0


def mosaic(photos: Sequence[Path], width: int, height: int) -> PIL.Image.Image:
    """A picture of this size, filled with the photos in rows, again and again."""
    images = cycle([PIL.Image.open(photo).convert("RGB") for photo in photos])
    canvas = PIL.Image.new("RGB", (width, height))
    top = 0
    while top < height:
        left = tallest = 0
        while left < width:
            image = next(images)
            canvas.paste(image, (left, top))
            left, tallest = left + image.width, max(tallest, image.height)
        top += tallest
    return canvas


def upscale(source: Path, target: Path, model: str, *options: str) -> tuple[float, int]:
    """Seconds and peak bytes of a process that upscales `source` to `target`."""
    files = [str(source), "-o", str(target)]
    command = [sys.executable, "-m", "sr_runtime", "upscale", *files, "-m", model, *options]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)  # not on Windows
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SRError(f"upscale ended with exit code {process.returncode}, for the reason above")
    return seconds, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    sys.exit(main())
