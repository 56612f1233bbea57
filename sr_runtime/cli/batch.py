"""Many images: while some are upscaled, the next ones are read and the last ones are written."""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sr_runtime import image
from sr_runtime.atomic import check_target
from sr_runtime.cli.jobs import Job
from sr_runtime.cli.progress_bar import ProgressBar
from sr_runtime.cli.thread_pool import Stop, StoppedError, ThreadPool
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError, SRError, StorageError
from sr_runtime.image import Picture
from sr_runtime.output_size import OutputSize
from sr_runtime.upscaler import Upscaler

__all__ = ["Failure", "run_jobs"]

# A GPU, which works on two images at once, makes 80 to 180 MP/s at ×4; a thread writes 18 of PNG.
WRITERS_PER_IMAGE = 6
# Limit on the results that are being written; a larger one is written alone.
WRITTEN_BYTES = 4 << 30


@dataclass(frozen=True)
class Failure:
    """An image that could not be upscaled, and why."""

    job: Job
    error: SRError

    def __str__(self) -> str:
        source = self.job.source
        return str(self.error) if self.error.path == source else f"{source}: {self.error}"


def run_jobs(
    upscaler: Upscaler,
    jobs: Sequence[Job],
    *,
    size: OutputSize,
    quality: int | None = None,
    max_pixels: int = image.DEFAULT_MAX_PIXELS,
    show_progress: bool = True,
) -> list[Failure]:
    """Upscale the jobs in their order, showing a progress bar; return those that failed.

    On a CPU one image is upscaled at a time; the next one and the last result are in memory too.
    On GPUs there are more of all three, since each GPU upscales two images at once.

    Raises:
        ArgumentError: `quality` does not suit the format of a result.
        ModelError, BackendError: The model does not work, whatever the image.
    """
    return _Batch(upscaler, jobs, size, quality, max_pixels, show_progress).run()


class _Batch:
    """One call of `run_jobs`: three pools of threads, which read, upscale and write."""

    def __init__(
        self,
        upscaler: Upscaler,
        jobs: Sequence[Job],
        size: OutputSize,
        quality: int | None,
        max_pixels: int,
        show_progress: bool,
    ) -> None:
        self._upscaler, self._jobs = upscaler, jobs
        self._size, self._max_pixels = size, max_pixels
        self._outputs = [image.Output(job.target, quality=quality) for job in jobs]
        self._bar = ProgressBar(jobs, show_progress)
        self._failures: dict[int, Failure] = {}
        self._stop = Stop()
        self._images = upscaler.backend.limits.images
        # One thread writes as fast as a CPU upscales.
        writers = min(WRITERS_PER_IMAGE * self._images, os.cpu_count() or 1)
        self._writers = ThreadPool(
            1 if self._images == 1 else writers, self._stop, max_nbytes=WRITTEN_BYTES
        )

    def run(self) -> list[Failure]:
        """Upscale all images; return the failures in the order of the jobs."""
        with (
            self._bar,
            self._writers,
            ThreadPoolExecutor(self._images) as readers,
            ThreadPool(self._images, self._stop) as workers,
        ):
            try:
                for number, reading in self._read_ahead(readers):
                    workers.submit(partial(self._upscale, number, reading))
                workers.wait()
            except StoppedError:
                pass
            finally:
                self._stop.set()
        if self._stop.error is not None:
            raise self._stop.error
        return [self._failures[number] for number in sorted(self._failures)]

    def _read_ahead(self, readers: ThreadPoolExecutor) -> Iterator[tuple[int, Future[Picture]]]:
        """Each image, to be waited for; as many as are upscaled at once are read in advance."""
        reading: deque[tuple[int, Future[Picture]]] = deque()
        for number, job in enumerate(self._jobs):
            picture = readers.submit(image.read, job.source, max_pixels=self._max_pixels)
            reading.append((number, picture))
            if len(reading) == self._images:
                yield reading.popleft()
        while reading:
            yield reading.popleft()

    def _upscale(self, number: int, reading: Future[Picture]) -> None:
        self._bar.start(number)
        with self._noting_failure(number):
            picture, output = reading.result(), self._outputs[number]
            _make_folder_of(output.path)
            check_target(output.path)
            self._upscaler.check_result(picture, output, size=self._size)
            result = self._upscaler.upscale_picture(
                picture,
                scale=self._size.scale,
                width=self._size.width,
                height=self._size.height,
                progress=partial(self._on_tiles, number),
            )
            nbytes = sum(frame.nbytes for frame in result.frames)
            self._writers.submit(partial(self._write, number, result), nbytes=nbytes)
        self._bar.finish(number)

    def _write(self, number: int, result: Picture) -> None:
        with self._noting_failure(number):
            self._outputs[number].write(result)

    def _on_tiles(self, number: int, done: int, total: int) -> None:
        self._stop.check()
        self._bar.tiles(number, done, total)

    @contextmanager
    def _noting_failure(self, number: int) -> Iterator[None]:
        """Note what is wrong with this image; an error of the model ends the run."""
        job = self._jobs[number]
        try:
            yield
        except (ModelError, BackendError):
            raise
        except SRError as error:
            error.path = error.path or job.source
            self._failures[number] = Failure(job, error)
        except MemoryError as error:
            detail = f" ({error})" if str(error) else ""
            reason = f"not enough memory to upscale it{detail}: use a smaller image or --scale"
            self._failures[number] = Failure(job, OutOfMemoryError(reason, path=job.source))


def _make_folder_of(target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"its folder cannot be created ({error.strerror}): choose another with -o", path=target
        ) from error
