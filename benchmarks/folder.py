"""A folder of photos from file to file, against the bare engine on the same tiles.

The photos are taken in parts. For each part both are timed, one after the other in one process:
the engine alone, with as many batches in flight as it holds, and `run_jobs`, which reads, upscales
and writes.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

import sr_runtime
from benchmarks.arguments import count
from benchmarks.data import in_data
from benchmarks.gpu.stream import stream
from benchmarks.json_file import write_json
from benchmarks.machine import processor
from sr_runtime import Upscaler
from sr_runtime.batch.job import Job
from sr_runtime.batch.order import in_order
from sr_runtime.batch.run import run_jobs
from sr_runtime.cli.console import run_cli
from sr_runtime.cli.parser import Parser, nonempty, path
from sr_runtime.embedded import DEFAULT
from sr_runtime.output_size import OutputSize
from sr_runtime.tensor import tensor_from_tiles

PHOTOS = "bsds500/test"
KINDS = (
    (481, 321, "jpg"), (320, 240, "png"), (640, 480, "jpg"), (256, 256, "webp"), (321, 481, "jpg"),
    (500, 375, "jpg"), (300, 200, "png"), (800, 600, "jpg"),
)  # fmt: skip
"""Width, height and format of the photos, in turn."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return 0, or 2 after an error."""
    return run_cli(lambda words: _run(parser().parse_args(words)), argv)


def parser() -> Parser:
    """The command line."""
    made = Parser(
        prog="python -m benchmarks.folder",
        description=__doc__,
        examples={"": "", "--photos 40 --parts 2": "", "--format jpg": ""},
    )
    made.add_argument(
        "--photos", type=count, default=200, metavar="N", help="how many (default: %(default)s)"
    )
    made.add_argument(
        "--parts", type=count, default=4, metavar="N",
        help="in how many parts they are taken (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "--format", choices=("png", "jpg", "webp"), default="png",
        help="format of the results (default: %(default)s)",
    )  # fmt: skip
    made.add_argument(
        "-m", "--model", type=nonempty, default=DEFAULT,
        help="psnr, esrgan or a file, as for upscale (default: %(default)s)",
    )  # fmt: skip
    made.add_argument("-o", "--output", type=path, metavar="FILE", help="JSON to write, too")
    return made


def _run(options: argparse.Namespace) -> int:
    parts = []
    with tempfile.TemporaryDirectory() as place, sr_runtime.load(options.model) as upscaler:
        backend = upscaler.backend
        facts = {
            "command": f"python -m benchmarks.folder --photos {options.photos} "
            f"--parts {options.parts} --format {options.format} -m {options.model}",
            "machine": f"{processor()}, {os.cpu_count()} cores",
            "engine": f"{backend.compute_dtype} on {backend.device} ({backend.name})",
        }
        print("\n".join(facts.values()))
        jobs = _jobs(Path(place), options.photos, options.format)
        _measured(lambda: run_jobs(upscaler, jobs[:8], size=OutputSize()))  # warms both up
        for part in _parts(jobs, options.parts):
            batches, pixels = _tiles(upscaler, part)
            bare = _measured(lambda batches=batches: stream(backend, batches))
            del batches
            files = _measured(lambda part=part: run_jobs(upscaler, part, size=OutputSize()))
            parts.append({"megapixels": pixels / 1e6, "bare": bare, "from file to file": files})
            shares = [bare[unit] / files[unit] for unit in ("seconds", "cpu_seconds")]
            print(
                f"{len(part)} photos, {pixels / 1e6:.2f} MP: {shares[0]:.3f} of the bare engine by "
                f"the clock, {shares[1]:.3f} by the seconds of the cores",
                flush=True,
            )
    total = {
        what: {unit: sum(part[what][unit] for part in parts) for unit in ("seconds", "cpu_seconds")}
        for what in ("bare", "from file to file")
    }
    megapixels = sum(part["megapixels"] for part in parts)
    bare, files = total.values()
    results = {
        "megapixels": megapixels,
        **total,
        "megapixels_per_second": megapixels / files["seconds"],
        "share_of_the_bare_engine": bare["seconds"] / files["seconds"],
        "share_by_cpu_seconds": bare["cpu_seconds"] / files["cpu_seconds"],
    }
    print(
        f"all: {megapixels:.2f} MP, {results['megapixels_per_second']:.3f} MP/s, "
        f"{results['share_of_the_bare_engine']:.3f} of the bare engine; seconds of the cores: "
        f"{bare['cpu_seconds']:.1f} bare, {files['cpu_seconds']:.1f} from file to file"
    )
    if options.output is not None:
        write_json(options.output, {**facts, **results, "parts": parts})
    return 0


def _jobs(place: Path, photos: int, suffix: str) -> list[Job]:
    """Photos on the disk, cut and enlarged from those of the data set, of all kinds."""
    (place / "photos").mkdir()
    sources = sorted(in_data(PHOTOS).glob("*.jpg"))
    jobs = []
    for number, (source, kind) in enumerate(islice(zip(cycle(sources), cycle(KINDS)), photos)):
        width, height, own = kind
        file = place / "photos" / f"{number:04}.{own}"
        with PIL.Image.open(source) as photo:
            photo.resize((width, height), PIL.Image.Resampling.BICUBIC).save(file, quality=92)
        jobs.append(Job.of(file, place / "large" / f"{number:04}.{suffix}"))
    return jobs


def _parts(jobs: Sequence[Job], count: int) -> list[Sequence[Job]]:
    size = -(-len(jobs) // count)
    return [jobs[begin : begin + size] for begin in range(0, len(jobs), size)]


def _tiles(upscaler: Upscaler, jobs: Sequence[Job]) -> tuple[list[NDArray[Any]], int]:
    """The batches of the photos in the order of a run, and how many pixels the photos have."""
    batches, pixels = [], 0
    for number in in_order(upscaler, jobs, None):
        with PIL.Image.open(jobs[number].source) as file:
            photo = np.asarray(file.convert("RGB"))
        pixels += photo.shape[0] * photo.shape[1]
        plan = upscaler.plan(*photo.shape[:2])
        below, right = plan.padded[0] - photo.shape[0], plan.padded[1] - photo.shape[1]
        padded = np.pad(photo, [(0, below), (0, right), (0, 0)], "edge")
        height, width = plan.shape
        for tile in plan:
            top, left = tile.rows.start, tile.cols.start
            cut = padded[top : top + height, left : left + width]
            batches.append(tensor_from_tiles([cut], upscaler.info, pixels=False))
    return batches, pixels


def _measured(work: Callable[[], object]) -> dict[str, float]:
    """What it takes: seconds, and seconds of all cores."""
    start, cores = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cores}


if __name__ == "__main__":
    sys.exit(main())
