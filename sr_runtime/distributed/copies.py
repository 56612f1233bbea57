"""The files of a task on the machine of its worker; those of an object store are copied."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from sr_runtime.batch.job import Job
from sr_runtime.distributed import stores
from sr_runtime.distributed.tasks import Task

__all__ = ["Copies"]


@dataclass(frozen=True)
class Copies:
    """A task, and an own folder for its copies."""

    task: Task
    folder: Path

    @property
    def job(self) -> Job:
        """The task with files on this machine."""
        return Job.of(
            self._file(self.task.source, "source"), self._file(self.task.target, "result")
        )

    def _file(self, place: str, kind: str) -> Path:
        if not stores.is_address(place):
            return Path(place)
        return self.folder / kind / PurePosixPath(place.partition("?")[0]).name

    @property
    def is_done(self) -> bool:
        """Whether a worker wrote the result that was lost before it could say so."""
        return stores.state_of(self.task.target) != self.task.before

    def fetch(self) -> None:
        """Copy the source from its store."""
        if stores.is_address(self.task.source):
            file = self.job.source
            file.parent.mkdir(parents=True)
            stores.download(self.task.source, file)

    def send(self) -> None:
        """Copy the result into its store."""
        if stores.is_address(self.task.target):
            stores.upload(self.job.target, self.task.target)
