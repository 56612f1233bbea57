"""Many images: while some are upscaled, the next ones are read and the last ones are written."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

from sr_runtime.batch.bar import NO_BAR, Bar
from sr_runtime.batch.job import Failure, Job, Report, Size
from sr_runtime.batch.ledger import PATIENCE, Ledger
from sr_runtime.batch.order import in_order
from sr_runtime.batch.outcomes import Outcomes, Taken
from sr_runtime.batch.steps import Steps
from sr_runtime.batch.writing import Writing
from sr_runtime.image import Picture, Quality
from sr_runtime.output_size import OutputSize
from sr_runtime.tileable import Tileable
from sr_runtime.upscaler import Upscaler

__all__ = ["run_jobs"]

# A GPU, which works on two images at once, makes 80 to 180 MP/s at ×4; a thread writes 30 of PNG.
WRITERS_PER_IMAGE = 6

Reading: TypeAlias = tuple[Taken, Future[Picture | None]]
"""The picture is None where the image is read by rows."""


def run_jobs(
    upscaler: Upscaler,
    jobs: Sequence[Job],
    *,
    size: OutputSize,
    quality: Quality = None,
    max_pixels: int | None = None,
    tileable: Tileable | None = None,
    ledger: Ledger | None = None,
    bar: Bar = NO_BAR,
    on_report: Callable[[Report], None] = lambda report: None,
) -> list[Failure]:
    """Upscale the jobs; return those that failed, in their order.

    The jobs are taken in their order. Where the engine prepares itself for every new tile shape,
    those that share a shape are taken together, so that it does so once.

    An image too large for memory is upscaled by rows, unless `max_pixels` refuses it.

    On a CPU one image is upscaled at a time; the next one and the last result are in memory too.
    On GPUs there are more of all three, since each GPU upscales two images at once.

    When the disk is full, no further image is begun, and those that were not are failures too.

    Args:
        ledger: Leaves out what is done, and notes what becomes so. An image that another process
            has claimed is waited for in the end, and done here if that process ends without it.
        on_report: Called for every image that the run comes to, by one thread at a time.

    Raises:
        ArgumentError: `quality` does not suit the format of a result.
        ModelError, BackendError: The model does not work, whatever the image.
    """
    steps = Steps(
        upscaler,
        jobs,
        size=size,
        quality=quality,
        max_pixels=max_pixels,
        tileable=tileable,
    )
    order = in_order(upscaler, jobs, tileable)
    outcomes = Outcomes(jobs, ledger, on_report)
    _Run(steps, order, upscaler.backend.limits.images, outcomes, bar).run()
    return outcomes.failures()


class _StoppedError(Exception):
    """The run has ended, by another image's error or by Ctrl-C."""


class _Run:
    """One call of `run_jobs`: threads that read, that upscale and that write."""

    def __init__(
        self, steps: Steps, order: Iterator[int], images: int, outcomes: Outcomes, bar: Bar
    ) -> None:
        """
        Args:
            images: How many are upscaled at once.
        """
        self._steps, self._order, self._images = steps, order, images
        self._outcomes, self._bar = outcomes, bar
        self._taking = threading.Lock()
        self._error: BaseException | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        """Upscale all images."""
        # One thread writes as fast as a CPU upscales.
        most = min(WRITERS_PER_IMAGE * self._images, os.cpu_count() or 1)
        try:
            with (
                Writing(1 if self._images == 1 else most) as writing,
                ThreadPoolExecutor(self._images) as readers,
                ThreadPoolExecutor(self._images) as workers,
            ):
                images = self._read_ahead(readers)
                working: list[Future[None]] = []
                try:
                    # Ctrl-C may come before the pool knows of a thread, and then nobody waits for
                    # it. So none takes an image until all are known.
                    with self._taking, self._ending_on_error():
                        working += [
                            workers.submit(self._work, images, writing) for _ in range(self._images)
                        ]
                    while wait(working, timeout=1).not_done:
                        pass  # again and again: on Windows, Ctrl-C does not interrupt a wait
                finally:
                    self._ended.set()
        finally:
            self._outcomes.release_claims()
        if self._error is not None:
            raise self._error

    def _read_ahead(self, readers: ThreadPoolExecutor) -> Iterator[Reading]:
        """Each image that this run does; beside those in work, as many are read already."""
        reading: deque[Reading] = deque()
        for taken in self._taken():
            if taken is not None:
                reading.append((taken, readers.submit(self._steps.read, taken.job)))
            while reading and (taken is None or len(reading) > self._images):
                yield reading.popleft()
        yield from reading

    def _taken(self) -> Iterator[Taken | None]:
        """Each image that this run does; None before it waits for another process."""
        others = []
        for number in self._order:
            if taken := self._outcomes.take(number):
                yield taken
            elif self._outcomes.has_ended(number):
                self._bar.skip(number)
            else:
                others.append(number)
        for number in others:
            yield None
            while not (taken := self._outcomes.take(number)):
                if self._outcomes.has_ended(number):
                    self._bar.skip(number)
                    break
                if self._stops() or self._ended.wait(PATIENCE):
                    return
            else:
                yield taken

    def _stops(self) -> bool:
        return self._ended.is_set() or self._outcomes.disk_full

    def _next(self, images: Iterator[Reading]) -> Reading | None:
        with self._taking:
            return None if self._stops() else next(images, None)

    def _work(self, images: Iterator[Reading], writing: Writing) -> None:
        """Upscale one image after the other, until there is none left or the run ends."""
        with self._ending_on_error():
            while following := self._next(images):
                taken, reading = following
                taken.started = time.perf_counter()
                self._bar.start(taken.number)
                with self._outcomes.noting_failure(taken):
                    self._upscale(taken, reading.result(), writing)
                self._bar.finish(taken.number, failed=self._outcomes.has_failed(taken.number))

    def _upscale(self, taken: Taken, picture: Picture | None, writing: Writing) -> None:
        progress = partial(self._on_progress, self._bar.tiles, taken.number)
        if picture is None:
            taken.size, result_size = self._steps.sizes(taken.job)
            on_writing = partial(self._on_progress, self._bar.writing, taken.number)
            with self._outcomes.noting_result(taken):
                self._steps.enlarge_by_rows(taken.job, progress, on_writing)
            self._outcomes.succeed(taken, result_size)
        else:
            taken.size, taken.frames = _size(picture), len(picture.frames)
            result = self._steps.enlarge(taken.job, picture, progress)
            writing.submit(result.nbytes, partial(self._write, taken, result))

    def _write(self, taken: Taken, result: Picture) -> None:
        with self._ending_on_error(), self._outcomes.noting_failure(taken):
            with self._outcomes.noting_result(taken):
                self._steps.write(taken.job, result)
            self._outcomes.succeed(taken, _size(result))

    def _on_progress(
        self, show: Callable[[int, int, int], None], number: int, done: int, total: int
    ) -> None:
        if self._ended.is_set():
            raise _StoppedError
        show(number, done, total)

    @contextmanager
    def _ending_on_error(self) -> Iterator[None]:
        """End the run if the block raises; `run` raises the first error."""
        try:
            yield
        except BaseException as error:
            self._error = self._error or error
            self._ended.set()


def _size(picture: Picture) -> Size:
    height, width = picture.frames[0].shape[:2]
    return height, width
