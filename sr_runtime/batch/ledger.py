"""What is done and who does what, so that a run goes on and several processes share a folder.

Beside the results lies a journal, to which each process appends a line right before a result gets
its name. The line says which file the result is, from which image it was made, and how: it counts
as long as these are so. Whoever begins an image claims it by a lock, which the system frees when
the process ends, even by a crash.
"""

import contextlib
import hashlib
import json
import os
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from sr_runtime.batch.job import Job
from sr_runtime.batch.journal import COARSEST, Journal, Record
from sr_runtime.errors import StorageError
from sr_runtime.image import Quality
from sr_runtime.made_with import made_with
from sr_runtime.output_size import OutputSize
from sr_runtime.storage.atomic import before_naming, create_folder
from sr_runtime.storage.lock import has_name, open_lock, try_lock
from sr_runtime.tileable import Tileable
from sr_runtime.upscaler import Upscaler

__all__ = ["PATIENCE", "Claim", "Ledger", "settings_of"]

PATIENCE = 0.5
"""Seconds between two looks at what another process has claimed."""

CLAIM = ".sr-claim-"

Facts: TypeAlias = tuple[int, int]
"""Of a file: its size in bytes and its time in nanoseconds."""


def settings_of(
    upscaler: Upscaler, *, size: OutputSize, quality: Quality, tileable: Tileable | None
) -> dict[str, str]:
    """All that a result depends on besides its image and its format, by names for the journal."""
    wanted = {**asdict(size), "quality": quality, "tileable": tileable}
    given = {name: str(value) for name, value in wanted.items() if value is not None}
    return made_with(upscaler) | given


class Ledger:
    """The journals and claims of all folders of results. Any thread may call it.

    A pickled one begins anew: it reads the journals again.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        """
        Args:
            settings: What `settings_of` returns. A result that was made with others is not done.
        """
        self._settings = dict(settings)
        text = json.dumps(self._settings, sort_keys=True)
        self._key = hashlib.sha256(text.encode()).hexdigest()[:16]
        self._journals: dict[Path, Journal] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return Ledger, (self._settings,)

    def is_done(self, job: Job) -> bool:
        """Whether the result is there, made from this content and with these settings.

        Raises StorageError if the journal cannot be read.
        """
        return bool(self.done_of([job]))

    def done_of(self, jobs: Iterable[Job]) -> list[Job]:
        """Those of the jobs that are done; each journal is read once.

        A file of another size and time than all results of its name was copied or edited, and is
        not replaced: it counts as the last one before that time.

        Raises StorageError if a journal cannot be read.
        """
        return [
            job
            for job, file, records in self._look(jobs)
            if records and self._holds(_record_of(file, records), job)
        ]

    def made_of(self, jobs: Iterable[Job]) -> list[Job]:
        """Those of the jobs whose result is there as such a run has made it, from whatever and
        however.

        Raises StorageError if a journal cannot be read.
        """
        return [
            job
            for job, file, records in self._look(jobs)
            if any(record.is_of(*file) for record in records)
        ]

    def _look(self, jobs: Iterable[Job]) -> list[tuple[Job, Facts, Sequence[Record]]]:
        """The jobs that have a file of the result's name, its facts, and the lines of that name."""
        # The files first: the line of what is there is then in the journal.
        files = [(job, _facts_of(job.place, job.result)) for job in jobs]
        with self._lock:
            journals = {job.place: self._journal(job.place) for job, _ in files}
            for journal in journals.values():
                journal.refresh()
            return [
                (job, file, journals[job.place].records_of(job.result))
                for job, file in files
                if file is not None
            ]

    def _holds(self, record: Record, job: Job) -> bool:
        """Whether a record is of this source and of these settings."""
        if record.settings != self._key or (facts := _facts_of(job.folder, job.name)) is None:
            return False  # reading it will report what is wrong with it
        if facts == (record.size, record.mtime_ns):
            return True
        with contextlib.suppress(OSError):
            return facts[0] == record.size and _sha256(job.source) == record.sha256
        return False

    def claim(self, job: Job) -> "Claim | None":
        """Claim a job; None if another process, or another run of this one, has done so.

        Raises StorageError if the folder of the result cannot be written.
        """
        folder = job.place
        create_folder(folder)
        path = folder / f"{CLAIM}{hashlib.sha256(os.fsencode(job.result)).hexdigest()[:24]}"
        try:
            while True:
                file = open_lock(path)
                if not _locked(file):
                    file.close()
                    return None
                if has_name(file.fileno(), path):
                    return Claim(self, job, path, file)
                file.close()  # another process did the image in between, and removed the file
        except OSError as error:
            if sys.platform == "win32" and isinstance(error, PermissionError):
                return None  # its owner is removing it
            raise StorageError(f"cannot be written ({error.strerror})", path=folder) from error

    def remove_leftovers(self, folder: Path) -> None:
        """Remove the claims that dead processes left in a folder."""
        with contextlib.suppress(OSError):  # it does not exist, or cannot be listed
            for entry in os.scandir(folder):
                if entry.name.startswith(CLAIM):
                    with open_lock(Path(entry.path)) as file:
                        if _locked(file):
                            _remove(Path(entry.path), file)

    def _journal(self, folder: Path) -> Journal:
        if (known := self._journals.get(folder)) is None:
            known = self._journals[folder] = Journal(folder)
        return known

    def note(self, job: Job, source: Facts | None, result: os.stat_result) -> None:
        """Note a result that is about to get its name.

        Args:
            source: What the image's file was before it was read.
            result: Of the file that gets the name.

        Raises StorageError.
        """
        record = Record(result_size=result.st_size, result_mtime_ns=result.st_mtime_ns)
        with contextlib.suppress(OSError):  # it was removed meanwhile
            sha256 = _sha256(job.source)
            if source is not None and source == _facts_of(job.folder, job.name):
                record = record._replace(
                    size=source[0], mtime_ns=source[1], sha256=sha256, settings=self._key
                )
        with self._lock:
            self._journal(job.place).append(job.result, record, self._settings)


class Claim:
    """An image that this process does, until `release` or until the process ends."""

    def __init__(self, ledger: Ledger, job: Job, path: Path, file: BinaryIO) -> None:
        self._ledger, self._job = ledger, job
        self._path, self._file = path, file
        self._source = _facts_of(job.folder, job.name)

    def noting(self) -> AbstractContextManager[None]:
        """Note the result, which the block writes, right before it gets its name.

        If it cannot be noted, the block raises StorageError, and there is no result.
        """
        return before_naming(self._job.target, partial(self._ledger.note, self._job, self._source))

    def release(self) -> None:
        """Let others have it."""
        _remove(self._path, self._file)


def _record_of(file: Facts, records: Sequence[Record]) -> Record:
    """That of the result which a file is, or was before somebody changed it."""
    # Not a later one: its result may never have got the name.
    earlier = [record for record in records if record.result_mtime_ns <= file[1] + COARSEST]
    return min(reversed(earlier or records), key=lambda record: record.distance(*file))


def _facts_of(folder: Path, name: str) -> Facts | None:
    try:
        facts = os.stat(f"{folder}{os.sep}{name}")  # noqa: PTH116 (faster, for many images)
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns


def _locked(file: BinaryIO) -> bool:
    """Lock a file; False if another process has done so."""
    try:
        return try_lock(file.fileno())
    except OSError:  # some network drives have no locks: there nobody can claim anything
        return True


def _remove(path: Path, file: BinaryIO) -> None:
    """Remove a file that this process has locked."""
    if sys.platform == "win32":  # it removes nothing that is open
        file.close()
    with contextlib.suppress(OSError):
        path.unlink()
    file.close()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
