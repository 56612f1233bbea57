"""A folder of photos from file to file, against the bare engine on the same tiles.

First the command line upscales all photos, in a process of its own, whose peak memory the system
reports. Then the photos are taken in parts. For each part both are timed, one after the other in
one process: the engine alone, with as many batches in flight as it holds, and `run_jobs`, which
reads, upscales and writes.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
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
from benchmarks.machine import processor, require_peak_memory
from benchmarks.photo import upscale as upscale_in_a_process
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
        help="a model's name or file, as for upscale (default: %(default)s)",
    )  # fmt: skip
    made.add_argument("-o", "--output", type=path, metavar="FILE", help="JSON to write, too")
    return made


@dataclass(frozen=True)
class Spent:
    """What a work took."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of all cores together: it depends less on what else runs on the machine."""

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.seconds + other.seconds, self.cpu_seconds + other.cpu_seconds)


def _run(options: argparse.Namespace) -> int:
    require_peak_memory()
    bare, files, pixels = Spent(), Spent(), 0
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
        source, target = Path(place, "photos"), Path(place, "by the command line")
        seconds, peak = upscale_in_a_process(
            source, target, options.model, "--format", options.format
        )
        size = sum(map(_pixels, source.iterdir())) * upscaler.info.scale**2
        print(f"the command line: {size / 1e6 / seconds:.2f} MP/s of results, {peak / 1e9:.2f} GB")
        upscale = partial(run_jobs, upscaler, size=OutputSize())
        upscale(jobs[: len(KINDS)])  # the engine prepares itself for all tile shapes
        for part in _parts(jobs, options.parts):
            batches, count_of_pixels = _tiles(upscaler, part)
            pixels += count_of_pixels
            bare += _spent(partial(stream, backend, batches))
            del batches
            files += _spent(partial(upscale, part))
            print(f"{pixels / 1e6:.2f} MP: {_shares(bare, files)}", flush=True)
    if options.output is not None:
        results = {
            "megapixels": pixels / 1e6,
            "command line": {
                "seconds": seconds,
                "megapixels_of_results_per_second": size / 1e6 / seconds,
                "peak_gb": peak / 1e9,
            },
            "bare": asdict(bare),
            "from file to file": asdict(files),
            "share_of_the_bare_engine": bare.seconds / files.seconds,
        }
        write_json(options.output, facts | results)
    return 0


def _shares(bare: Spent, files: Spent) -> str:
    return (
        f"{bare.seconds / files.seconds:.3f} of the bare engine by the clock, "
        f"{bare.cpu_seconds / files.cpu_seconds:.3f} by the seconds of the cores"
    )


def _jobs(place: Path, photos: int, suffix: str) -> list[Job]:
    """Photos on the disk, cut and enlarged from those of the data set, of all kinds."""
    (place / "photos").mkdir()
    sources = sorted(in_data(PHOTOS).glob("*.jpg"))
    jobs = []
    pairs = zip(cycle(sources), cycle(KINDS), strict=False)
    for number, (source, (width, height, own)) in enumerate(islice(pairs, photos)):
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


def _pixels(photo: Path) -> int:
    with PIL.Image.open(photo) as file:
        return file.width * file.height


def _spent(work: Callable[[], object]) -> Spent:
    start, cores = time.perf_counter(), time.process_time()
    work()
    return Spent(time.perf_counter() - start, time.process_time() - cores)


if __name__ == "__main__":
    sys.exit(main())
