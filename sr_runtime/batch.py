"""Many files: while one is in the network, the next is read and the last one written."""

import math
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from tqdm import tqdm

from sr_runtime import image
from sr_runtime.errors import BackendError, ImageError, ModelError, SRError
from sr_runtime.image import Picture
from sr_runtime.jobs import Job
from sr_runtime.output_size import OutputSize
from sr_runtime.upscaler import Upscaler

__all__ = ["Failure", "run_jobs"]


@dataclass(frozen=True)
class Failure:
    """An image that could not be upscaled, and why."""

    job: Job
    error: SRError | MemoryError

    def __str__(self) -> str:
        reason = str(self.error) or "not enough memory"
        name = str(self.job.source)
        return reason if name in reason else f"{name}: {reason}"


def run_jobs(
    upscaler: Upscaler,
    jobs: Sequence[Job],
    *,
    size: OutputSize,
    quality: int | None = None,
    max_pixels: int = image.DEFAULT_MAX_PIXELS,
    show_progress: bool = True,
) -> list[Failure]:
    """Upscale the jobs in turn, showing a progress bar; return those that failed.

    Besides the image in work, one that was read and one that is being written are in memory.

    Raises:
        ArgumentError: `quality` does not fit the format of a result.
        ModelError, BackendError: The model does not work, whatever the image.
    """
    for job in jobs:
        image.check_quality(image.output_format(job.target), quality)
    failures: list[Failure] = []

    @contextmanager
    def noting_failure_of(job: Job) -> Iterator[None]:
        try:
            yield
        except (ModelError, BackendError):
            raise
        except (SRError, MemoryError) as error:
            failures.append(Failure(job, error))

    def read(job: Job) -> Picture:
        return image.read(job.source, max_pixels=max_pixels)

    def write(job: Job, picture: Picture) -> None:
        with noting_failure_of(job):
            image.write(picture, job.target, quality=quality)

    with (
        ThreadPoolExecutor(1) as reader,
        ThreadPoolExecutor(1) as writer,
        _ProgressBar(jobs, show_progress) as bar,
    ):
        reading: list[Future[Picture]] = [reader.submit(read, job) for job in jobs[:1]]
        writing: Future[None] | None = None
        for number, job in enumerate(jobs):
            future = reading.pop()
            reading += [
                reader.submit(read, following) for following in jobs[number + 1 : number + 2]
            ]
            bar.start(number)
            with noting_failure_of(job):
                picture = future.result()
                _make_folder(job)
                upscaler.check_result(picture, job.target, size=size, quality=quality)
                result = upscaler.upscale_picture(picture, size=size, progress=bar.tiles)
                if writing is not None:
                    writing.result()
                writing = writer.submit(write, job, result)
        if writing is not None:
            writing.result()
    return failures


def _make_folder(job: Job) -> None:
    try:
        job.target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(
            f"{job.target}: cannot create its folder ({error.strerror}): choose another with -o"
        ) from error


class _ProgressBar:
    """Megapixels done of all the images, with the present image and its tiles."""

    def __init__(self, jobs: Sequence[Job], shown: bool) -> None:
        self._jobs = jobs
        self._pixels = [shown and math.prod(image.size_and_frames(job.source)) for job in jobs]
        self._bar = tqdm(
            total=sum(self._pixels) / 1e6,
            disable=not shown or sys.stderr is None,  # as in a program without a console
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n:.2f}/{total:.2f} MP "
            "[{elapsed}<{remaining}, {rate_noinv_fmt}]",
            unit=" MP",
        )

    def __enter__(self) -> "_ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def start(self, number: int) -> None:
        self._number = number
        self._show(0, "reading")

    def tiles(self, done: int, total: int) -> None:
        self._show(done / total, f"tile {done}/{total}")

    def _show(self, share: float, state: str) -> None:
        """Show the present image, of which this share is done."""
        place = f"{self._number + 1}/{len(self._jobs)} " if len(self._jobs) > 1 else ""
        name = self._jobs[self._number].source.name
        self._bar.set_description_str(f"{place}{name} {state}", refresh=False)
        pixels = sum(self._pixels[: self._number]) + share * self._pixels[self._number]
        if not self._bar.update(pixels / 1e6 - self._bar.n):
            self._bar.refresh()
