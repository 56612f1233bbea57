"""What runs in the processes of the cluster: each holds the model and upscales what it is given."""

import json
import os
import platform
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import gettempdir
from typing import Any, NamedTuple

import PIL.Image
import pyarrow as pa

import sr_runtime
from sr_runtime.batch.job import Job, Report, Status
from sr_runtime.batch.ledger import Ledger, settings_of
from sr_runtime.batch.run import run_jobs
from sr_runtime.distributed.copies import Copies
from sr_runtime.distributed.tasks import Outcome, Settings, Task
from sr_runtime.errors import SRError
from sr_runtime.image import DEFAULT_MAX_PIXELS
from sr_runtime.image.geotiff import is_geotiff
from sr_runtime.image.header import header_of
from sr_runtime.made_with import made_with
from sr_runtime.model_info import ModelInfo
from sr_runtime.storage.temporary import temporary_folder
from sr_runtime.upscaler import Upscaler

__all__ = ["Facts", "Worker"]


class Facts(NamedTuple):
    """What the head has to know of the model."""

    info: ModelInfo
    made: dict[str, str]
    """What `made_with` says."""
    settings: dict[str, str]
    """What `settings_of` says, for the journals."""
    where: str
    """What runs it."""


class Worker:
    """A process with the model; Ray makes one anew where one was lost.

    Ray Data calls it with blocks of tasks. The head calls its methods.
    """

    def __init__(self, settings: Settings) -> None:
        PIL.Image.MAX_IMAGE_PIXELS = None  # as on the command line
        self._settings = settings
        self._where = f"{platform.node()} {os.getpid()}"
        self._refusal: SRError | None = None
        self._ledger: Ledger | None = None
        try:
            self._upscaler = sr_runtime.load(**settings.load)
            if settings.resume:
                self._ledger = Ledger(self._made())
        except SRError as error:  # Ray would try again, and wrap it into pages of text
            self._refusal = error

    @property
    def upscaler(self) -> Upscaler:
        """The open model; raises what `load` raised."""
        if self._refusal is not None:
            raise self._refusal
        return self._upscaler

    def facts(self) -> Facts:
        """What the head has to know of the model before it plans."""
        upscaler, backend = self.upscaler, self.upscaler.backend
        where = f"{backend.compute_dtype} on {backend.device} ({backend.name})"
        return Facts(upscaler.info, made_with(upscaler), self._made(), where)

    def _made(self) -> dict[str, str]:
        settings = self._settings
        return settings_of(
            self.upscaler, size=settings.size, quality=settings.quality, tileable=settings.tileable
        )

    def __call__(self, block: pa.Table) -> pa.Table:
        """Upscale a block of tasks; return an outcome of each. Both are JSON."""
        tasks = [Task(**json.loads(text)) for text in block["task"].to_pylist()]
        try:
            outcomes = self._outcomes(tasks)
        except Exception:  # Ray Data would take it for a lost worker, and keep it for itself
            bug = traceback.format_exc()
            outcomes = [
                Outcome(target=task.target, worker=self._where, status="failed", bug=bug)
                for task in tasks
            ]
        return pa.table({"outcome": [json.dumps(asdict(outcome)) for outcome in outcomes]})

    def _outcomes(self, tasks: Sequence[Task]) -> list[Outcome]:
        started = time.perf_counter()
        with temporary_folder(Path(gettempdir())) as folder, _recorded_warnings() as seen:
            works = [
                _Work(Copies(task, folder.path / str(number))) for number, task in enumerate(tasks)
            ]
            for work in works:
                with _noting(work):
                    self._begin(work)
            left = [work for work in works if work.report is None]
            with _noting(*left):
                self._upscale(left)
            for work in left:
                with _noting(work):
                    work.send()
        seconds = (time.perf_counter() - started) / len(works)
        outcomes = [work.outcome(self._where, seconds) for work in works]
        told = "\n".join(seen)
        for work in works:
            told = told.replace(str(work.job.source), work.copies.task.source)
        outcomes[0] = replace(outcomes[0], warnings=told)
        return outcomes

    def _begin(self, work: "_Work") -> None:
        """Fetch the source, and find out whether there is anything to do."""
        if work.copies.is_done:
            work.end("written")
            return
        work.copies.fetch()
        source = work.job.source
        header = header_of(source) if self._settings.share else None
        # It has to be where all workers see it, and of a kind of which bands are made.
        if (
            header is not None
            and header.height * header.width > DEFAULT_MAX_PIXELS
            and header.frames == 1
            and str(source) == work.copies.task.source
            and not is_geotiff(source)
        ):
            work.is_shared = True
            work.end("written", size=(header.height, header.width))

    def _upscale(self, left: Sequence["_Work"]) -> None:
        settings = self._settings
        works = {work.job.source: work for work in left}

        def on_report(report: Report) -> None:
            works[report.source].report = report

        run_jobs(
            self.upscaler,
            [work.job for work in left],
            size=settings.size,
            quality=settings.quality_for(work.job.target for work in left),
            max_pixels=settings.max_pixels,
            tileable=settings.tileable,
            ledger=self._ledger,
            on_report=on_report,
        )


@dataclass
class _Work:
    """What becomes of one task."""

    copies: Copies
    report: Report | None = None
    is_shared: bool = False

    @property
    def job(self) -> Job:
        return self.copies.job

    def end(self, status: Status, **facts: Any) -> None:
        self.report = Report(source=self.job.source, target=self.job.target, status=status, **facts)

    def send(self) -> None:
        """Send the result where it belongs, if there is one."""
        if self.report is not None and self.report.status == "written":
            self.copies.send()

    def outcome(self, worker: str, seconds: float) -> Outcome:
        assert self.report is not None
        target = self.copies.task.target
        names = {self.job.source: "", self.job.target: target}
        return Outcome.of(
            self.report, target, worker, names, worker_seconds=seconds, is_shared=self.is_shared
        )


@contextmanager
def _noting(*works: _Work) -> Iterator[None]:
    """Note an error of the block as what is wrong with the works, which end with it."""
    try:
        yield
    except SRError as error:
        for work in works:
            work.end("failed", error=error)


@contextmanager
def _recorded_warnings() -> Iterator[list[str]]:
    """The warnings of the block, which the head shows."""
    seen: list[str] = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.showwarning = lambda message, *_: seen.append(str(message))
        yield seen
