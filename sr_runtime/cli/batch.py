"""Many images: while some are upscaled, the next ones are read and the last ones are written."""

import errno
import os
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial

from sr_runtime import image
from sr_runtime.cli.inputs import Failure
from sr_runtime.cli.job import Job
from sr_runtime.cli.names import header_of
from sr_runtime.cli.progress_bar import ProgressBar
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError, SRError, StorageError
from sr_runtime.image import Picture, Quality
from sr_runtime.large.output import LargeOutput, output_of
from sr_runtime.large.upscale import goes_by_rows, upscale_large
from sr_runtime.output_size import OutputSize
from sr_runtime.storage.atomic import check_target, create_folder
from sr_runtime.tileable import Tileable
from sr_runtime.tiling import LONGEST
from sr_runtime.upscaler import Upscaler

__all__ = ["run_jobs"]

Reading = Future[Picture | None]
"""None where the image is read by rows."""

# A GPU, which works on two images at once, makes 80 to 180 MP/s at ×4; a thread writes 18 of PNG.
WRITERS_PER_IMAGE = 6
# Limit on the results that are being written; a larger one is written alone.
WRITTEN_BYTES = 4 << 30
FULL = (errno.ENOSPC, errno.EDQUOT)


def run_jobs(
    upscaler: Upscaler,
    jobs: Sequence[Job],
    *,
    size: OutputSize,
    quality: Quality = None,
    max_pixels: int | None = None,
    tileable: Tileable | None = None,
    show_progress: bool = True,
) -> list[Failure]:
    """Upscale the jobs, showing a progress bar; return those that failed, in the order of `jobs`.

    The jobs are taken in their order. Where the engine prepares itself for every new tile shape,
    those that share a shape are taken together, so that it does so once.

    An image too large for memory is upscaled by rows, unless `max_pixels` refuses it.

    On a CPU one image is upscaled at a time; the next one and the last result are in memory too.
    On GPUs there are more of all three, since each GPU upscales two images at once.

    When the disk is full, no further image is begun, and those that were not are failures too.

    Raises:
        ArgumentError: `quality` does not suit the format of a result.
        ModelError, BackendError: The model does not work, whatever the image.
    """
    return _Batch(upscaler, jobs, size, quality, max_pixels, tileable, show_progress).run()


class _StoppedError(Exception):
    """The run has ended, by another image's error or by Ctrl-C."""


class _Batch:
    """One call of `run_jobs`: threads that read, that upscale and that write."""

    def __init__(
        self,
        upscaler: Upscaler,
        jobs: Sequence[Job],
        size: OutputSize,
        quality: Quality,
        max_pixels: int | None,
        tileable: Tileable | None,
        show_progress: bool,
    ) -> None:
        self._upscaler, self._jobs = upscaler, jobs
        self._size, self._max_pixels, self._tileable = size, max_pixels, tileable
        self._outputs = _outputs(jobs, quality)
        self._bar = ProgressBar(jobs, show_progress and len(jobs) > 0)
        costly = upscaler.backend.limits.shape_cost > 0
        self._order = self._by_tile_shape() if costly else list(range(len(jobs)))
        self._failures: dict[int, Failure] = {}
        self._images = upscaler.backend.limits.images
        # One thread writes as fast as a CPU upscales.
        most = min(WRITERS_PER_IMAGE * self._images, os.cpu_count() or 1)
        self._most_writers = 1 if self._images == 1 else most
        self._written: dict[int, int] = {}  # bytes of each result that is being written
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._ended = False
        self._disk_full = False
        self._begun: set[int] = set()

    def run(self) -> list[Failure]:
        """Upscale all images; return the failures in the order of the jobs."""
        with (
            self._bar,
            ThreadPoolExecutor(self._most_writers) as writers,
            ThreadPoolExecutor(self._images) as readers,
            ThreadPoolExecutor(self._images) as workers,
        ):
            images = self._read_ahead(readers)
            try:
                working = [workers.submit(self._work, images, writers) for _ in range(self._images)]
                while wait(working, timeout=1).not_done:
                    pass  # again and again: on Windows, Ctrl-C does not interrupt a wait
            finally:
                self._ended = True
        if self._error is not None:
            raise self._error
        for number in {*self._order} - self._begun:
            source = self._jobs[number].source
            reason = "it was not begun, since the disk for the results is full"
            self._failures[number] = Failure(source, StorageError(reason, path=source))
        return [self._failures[number] for number in sorted(self._failures)]

    def _by_tile_shape(self) -> list[int]:
        """The numbers of the jobs, each tile shape's together, beginning with the first job's."""
        first: dict[tuple[int, int] | None, int] = {}

        def group(number: int) -> int:
            header = header_of(self._jobs[number].source)
            if header is None or max(header.height, header.width) > LONGEST:
                return first.setdefault(None, number)  # it fails when it is its turn
            plan = self._upscaler.plan(header.height, header.width, tileable=self._tileable)
            return first.setdefault(plan.shape, number)

        return sorted(range(len(self._jobs)), key=group)

    def _read_ahead(self, readers: ThreadPoolExecutor) -> Iterator[tuple[int, Reading]]:
        """Each image as a future; as many are read ahead as are upscaled at once."""
        reading: deque[tuple[int, Reading]] = deque()
        for number in self._order:
            picture = readers.submit(self._read, number)
            reading.append((number, picture))
            if len(reading) == self._images:
                yield reading.popleft()
        yield from reading

    def _read(self, number: int) -> Picture | None:
        """The picture of a job; None if it is to be read by rows."""
        source, output = self._jobs[number].source, self._outputs[number]
        if isinstance(output, LargeOutput):
            return None
        if self._tileable is None and goes_by_rows(
            source,
            header_of(source),
            output.format,
            size=self._size,
            upscaler=self._upscaler,
            max_pixels=self._max_pixels,
        ):
            return None
        most = self._max_pixels or image.DEFAULT_MAX_PIXELS
        return image.read(source, max_pixels=most)

    def _work(self, images: Iterator[tuple[int, Reading]], writers: ThreadPoolExecutor) -> None:
        """Upscale one image after the other, until there is none left or the run ends."""
        with self._ending_on_error():
            while not (self._ended or self._disk_full):
                with self._changed:
                    following = next(images, None)
                if following is None:
                    break
                number, reading = following
                self._begun.add(number)
                self._bar.start(number)
                with self._noting_failure(number):
                    self._upscale(number, reading.result(), writers)
                self._bar.finish(number, failed=number in self._failures)

    def _upscale(self, number: int, picture: Picture | None, writers: ThreadPoolExecutor) -> None:
        output, progress = self._outputs[number], partial(self._on_tiles, number)
        if picture is None or isinstance(output, LargeOutput):
            create_folder(output.path.parent)
            large = LargeOutput(output.path, quality=output.quality)
            source = self._jobs[number].source
            upscale_large(self._upscaler, source, large, size=self._size, progress=progress)
            return
        if output.path.parent.is_dir():
            check_target(output.path)
        self._upscaler.check_result(picture, output, size=self._size)
        result = self._upscaler.upscale_picture(
            picture, **asdict(self._size), tileable=self._tileable, progress=progress
        )
        nbytes = result.nbytes
        with self._changed:
            self._changed.wait_for(lambda: self._has_room(nbytes))
            self._written[number] = nbytes
        writers.submit(self._write, number, result)

    def _has_room(self, nbytes: int) -> bool:
        """Whether a thread, and memory for `nbytes`, are free to write a result."""
        at_work = self._written.values()
        return not at_work or (
            len(at_work) < self._most_writers and sum(at_work) + nbytes <= WRITTEN_BYTES
        )

    def _write(self, number: int, result: Picture) -> None:
        try:
            with self._ending_on_error(), self._noting_failure(number):
                # Not before there is a result: a model that fails leaves no folder behind.
                create_folder(self._jobs[number].target.parent)
                output = self._outputs[number]
                assert isinstance(output, image.Output)
                output.write(result)
        finally:
            with self._changed:
                del self._written[number]
                self._changed.notify_all()

    def _on_tiles(self, number: int, done: int, total: int) -> None:
        if self._ended:
            raise _StoppedError
        self._bar.tiles(number, done, total)

    @contextmanager
    def _ending_on_error(self) -> Iterator[None]:
        """End the run if the block raises; `run` raises the first error."""
        try:
            yield
        except BaseException as error:
            self._error = self._error or error
            self._ended = True

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
            cause = error.__cause__
            self._disk_full |= isinstance(cause, OSError) and cause.errno in FULL
            self._failures[number] = Failure(job.source, error)
        except MemoryError as error:
            detail = f" ({error})" if str(error) else ""
            reason = f"not enough memory to upscale it{detail}: use a smaller image or --scale"
            self._failures[number] = Failure(job.source, OutOfMemoryError(reason, path=job.source))


def _outputs(jobs: Sequence[Job], quality: Quality) -> list[image.Output | LargeOutput]:
    """What is written; a quality in numbers is for the formats that have one, if any has."""
    outputs = [output_of(job.target) for job in jobs]
    without = {output.format for output in outputs}.difference(image.QUALITY_FORMATS)
    if isinstance(quality, str) or all(output.format in without for output in outputs):
        without = set()
    return [
        output if output.format in without else output_of(output.path, quality=quality)
        for output in outputs
    ]
