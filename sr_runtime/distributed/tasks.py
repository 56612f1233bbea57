"""What goes to a worker and what comes back: paths, settings and rows of a report."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sr_runtime import errors
from sr_runtime.batch.job import Job, Report, Status
from sr_runtime.errors import SRError
from sr_runtime.image import QUALITY_FORMATS, SUFFIXES, Quality
from sr_runtime.large.output import DEEP_ZOOM, output_of
from sr_runtime.output_size import OutputSize
from sr_runtime.tileable import Tileable

__all__ = ["Outcome", "Settings", "Task"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What all images of a run have in common."""

    load: Mapping[str, Any]
    """The arguments of `sr_runtime.load`."""
    size: OutputSize
    quality: Quality
    max_pixels: int | None
    tileable: Tileable | None
    resume: bool = False
    """Whether the workers keep journals beside the results."""
    share: bool = False
    """Whether the largest images are left to all workers together."""

    def quality_for(self, targets: Iterable[Path]) -> Quality:
        """The quality of some results of the run: in numbers it is for formats that have one."""
        suffixes = {target.suffix.lower() for target in targets}
        has_one = suffixes & {DEEP_ZOOM} or {*map(SUFFIXES.get, suffixes)} & {*QUALITY_FORMATS}
        return self.quality if has_one or isinstance(self.quality, str) else None

    def check_quality(self, targets: Iterable[str]) -> None:
        """Raise ArgumentError if the quality suits none of the results, or is out of range."""
        suffixes = {PurePosixPath(target.partition("?")[0]).suffix for target in targets}
        paths = [Path(f"x{suffix}") for suffix in suffixes]
        all_without = self.quality_for(paths) is None
        for path in paths:
            output_of(path, quality=self.quality if all_without else self.quality_for([path]))


@dataclass(frozen=True, kw_only=True)
class Task:
    """One image: absolute paths, or addresses in an object store."""

    source: str
    target: str
    before: str
    """What `stores.state_of` said of the target when the run began.

    It says something else as soon as the result is written. So a worker that gets the task again,
    since the one before it was lost, knows whether anything is left to do.
    """


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a task: a row of plain values."""

    target: str
    worker: str
    """Its machine and its process."""
    status: Status | str
    height: int = 0
    width: int = 0
    """Of the source; 0 if they are not known."""
    result_height: int = 0
    result_width: int = 0
    frames: int = 1
    bytes: int = 0
    seconds: float = 0
    error: str = ""
    """The class of an error of `sr_runtime.errors`."""
    message: str = ""
    path: str = ""
    """The file that the error is about; empty: the source."""
    warnings: str = ""
    """One a line."""
    worker_seconds: float = 0
    """Its share of the time that the worker took for a block of images."""
    is_shared: bool = False
    """Nothing was done yet, since it is one of the largest images."""
    bug: str = ""
    """The traceback of what is no error of `sr_runtime.errors`."""

    @classmethod
    def of(
        cls, report: Report, target: str, worker: str, names: Mapping[Path, str], **more: Any
    ) -> "Outcome":
        """The row of a report.

        Args:
            names: What files are called whose path is a copy's; the source is called "".
        """
        height, width = report.size or (0, 0)
        result_height, result_width = report.result_size or (0, 0)
        if (error := report.error) is not None:
            path = "" if error.path is None else names.get(error.path, str(error.path))
            more |= {"error": type(error).__name__, "message": str(error.args[0]), "path": path}
        return cls(
            target=target,
            worker=worker,
            status=report.status,
            height=height,
            width=width,
            result_height=result_height,
            result_width=result_width,
            frames=report.frames,
            bytes=report.bytes,
            seconds=report.seconds,
            **more,
        )

    def report(self, job: Job) -> Report:
        """The report on `job`, as one machine gives it."""
        error: SRError | None = None
        if self.error:
            error = getattr(errors, self.error)(self.message, path=self.path or job.source)
        return Report(
            source=job.source,
            target=job.target,
            status=self.status,  # type: ignore[arg-type]
            size=(self.height, self.width) if self.height else None,
            result_size=(self.result_height, self.result_width) if self.result_height else None,
            frames=self.frames,
            bytes=self.bytes,
            seconds=self.seconds,
            error=error,
        )
