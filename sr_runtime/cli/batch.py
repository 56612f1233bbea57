"""Many files: while some are in the network, the next are read and the last ones written."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from sr_runtime import image
from sr_runtime.cli.jobs import Job
from sr_runtime.cli.progress_bar import ProgressBar
from sr_runtime.errors import BackendError, ImageError, ModelError, SRError
from sr_runtime.image import Picture
from sr_runtime.output_size import OutputSize
from sr_runtime.upscaler import Upscaler

__all__ = ["Failure", "run_jobs"]

# A GPU, which has two images in work, makes 80 to 180 MP/s at ×4; a thread writes 18 of PNG.
WRITERS_PER_IMAGE = 6
# Of results that several threads write at once; a larger one is written alone.
WRITTEN_BYTES = 4 << 30


@dataclass(frozen=True)
class Failure:
    """An image that could not be upscaled, and why."""

    job: Job
    error: SRError | MemoryError

    def __str__(self) -> str:
        reason = str(self.error) or "not enough memory"
        name = str(self.job.source)
        return reason if name in reason else f"{name}: {reason}"


class _StoppedError(Exception):
    """The run is at its end, for an error elsewhere or Ctrl-C: this image is not to be finished."""


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

    On a CPU one image is in work, and besides it one that was read and one that is being written
    are in memory. On GPUs there are more of all three: two of each GPU's are in work.

    Raises:
        ArgumentError: `quality` does not fit the format of a result.
        ModelError, BackendError: The model does not work, whatever the image.
    """
    for job in jobs:
        image.check_quality(image.output_format(job.target), quality)
    images = upscaler.backend.limits.images
    failures: dict[int, Failure] = {}
    errors: list[BaseException] = []
    stopped = threading.Event()

    @contextmanager
    def noting_failure_of(number: int) -> Iterator[None]:
        try:
            yield
        except (ModelError, BackendError):
            raise
        except (SRError, MemoryError) as error:
            failures[number] = Failure(jobs[number], error)

    @contextmanager
    def ending_all_by_an_error() -> Iterator[None]:
        try:
            yield
        except _StoppedError:
            pass
        except BaseException as error:
            errors.append(error)
            stopped.set()

    def on_tiles(number: int, done: int, total: int) -> None:
        if stopped.is_set():
            raise _StoppedError
        bar.tiles(number, done, total)

    def upscale(number: int, reading: Future[Picture]) -> None:
        target = jobs[number].target
        picture = reading.result()
        _make_folder(target)
        upscaler.check_result(picture, target, size=size, quality=quality)
        result = upscaler.upscale_picture(
            picture,
            scale=size.scale,
            width=size.width,
            height=size.height,
            progress=partial(on_tiles, number),
        )
        nbytes = sum(frame.nbytes for frame in result.frames)
        writers.start(partial(write, number, result), nbytes)

    def write(number: int, result: Picture) -> None:
        with ending_all_by_an_error(), noting_failure_of(number):
            image.write(result, jobs[number].target, quality=quality)

    def work() -> None:
        with ending_all_by_an_error():
            for number, reading in pictures:
                if stopped.is_set():
                    return
                bar.start(number)
                with noting_failure_of(number):
                    upscale(number, reading)
                bar.finish(number)

    with (
        ProgressBar(jobs, show_progress) as bar,
        _Writers(_writing_threads(images), stopped) as writers,
        ThreadPoolExecutor(images) as readers,
        ThreadPoolExecutor(images) as workers,
    ):
        pictures = _ReadAhead(
            readers, partial(image.read, max_pixels=max_pixels), jobs, ahead=images
        )
        try:
            working = [workers.submit(work) for _ in range(images)]
            # Again and again: on Windows no Ctrl-C ends a wait.
            while wait(working, timeout=1).not_done:
                pass
        finally:
            stopped.set()
    if errors:
        raise errors[0]
    return [failures[number] for number in sorted(failures)]


def _make_folder(target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(
            f"{target}: cannot create its folder ({error.strerror}): choose another with -o"
        ) from error


def _writing_threads(images: int) -> int:
    """For so many images in work: several where they are made faster than one thread writes."""
    return 1 if images == 1 else min(WRITERS_PER_IMAGE * images, os.cpu_count() or 1)


class _ReadAhead:
    """The jobs' numbers and pictures in their order, to be shared by several threads."""

    def __init__(
        self,
        readers: ThreadPoolExecutor,
        read: Callable[[Path], Picture],
        jobs: Sequence[Job],
        *,
        ahead: int,
    ) -> None:
        """Begin to read the first `ahead`, and another whenever one is asked for."""
        self._readers, self._read = readers, read
        self._rest = iter(enumerate(jobs))
        self._ahead: deque[tuple[int, Future[Picture]]] = deque()
        self._lock = threading.Lock()
        for _ in range(ahead):
            self._read_another()

    def __iter__(self) -> Iterator[tuple[int, Future[Picture]]]:
        return self

    def __next__(self) -> tuple[int, Future[Picture]]:
        with self._lock:
            if not self._ahead:
                raise StopIteration
            self._read_another()
            return self._ahead.popleft()

    def _read_another(self) -> None:
        for number, job in islice(self._rest, 1):
            self._ahead.append((number, self._readers.submit(self._read, job.source)))


class _Writers:
    """Threads that write; a result waits with its maker until there is one for it."""

    def __init__(self, threads: int, stopped: threading.Event) -> None:
        self._pool = ThreadPoolExecutor(threads)
        self._threads, self._stopped = threads, stopped
        self._writing = self._nbytes = 0
        self._changed = threading.Condition()

    def __enter__(self) -> "_Writers":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def start(self, write: Callable[[], None], nbytes: int) -> None:
        """Have a result of this size written; raises _StoppedError if the run has ended first."""
        with self._changed:
            self._changed.wait_for(lambda: self._has_room(nbytes))
            if self._stopped.is_set():
                raise _StoppedError
            self._writing += 1
            self._nbytes += nbytes
        self._pool.submit(self._write, write, nbytes)

    def _has_room(self, nbytes: int) -> bool:
        if self._writing == 0:
            return True
        return self._writing < self._threads and self._nbytes + nbytes <= WRITTEN_BYTES

    def _write(self, write: Callable[[], None], nbytes: int) -> None:
        try:
            write()
        finally:
            with self._changed:
                self._writing -= 1
                self._nbytes -= nbytes
                self._changed.notify_all()
