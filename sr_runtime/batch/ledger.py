"""What is done and who does what, so that a run goes on and several processes share a folder.

Beside the results lies a journal, to which each process appends a line when a result has its name.
The line says from which file it was made, and how: it counts as long as both are so. Whoever begins
an image claims it by a lock, which the system frees when the process ends, even by a crash.
"""

import contextlib
import hashlib
import json
import os
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

from sr_runtime.batch.job import Job
from sr_runtime.batch.journal import Journal, Record
from sr_runtime.errors import StorageError
from sr_runtime.image import Quality
from sr_runtime.made_with import made_with
from sr_runtime.output_size import OutputSize
from sr_runtime.storage.atomic import create_folder
from sr_runtime.storage.lock import has_name, open_lock, try_lock
from sr_runtime.tileable import Tileable
from sr_runtime.upscaler import Upscaler

__all__ = ["PATIENCE", "Claim", "Ledger", "settings_of"]

PATIENCE = 0.5
"""Seconds between two looks at what another process has claimed."""

CLAIM = ".sr-claim-"

COARSEST = 2_000_000_000
"""Nanoseconds in which FAT counts the times of files."""

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

        Raises StorageError if one cannot be read.
        """
        return [job for job, record in self._records(jobs) if self._holds(record, job)]

    def made_of(self, jobs: Iterable[Job]) -> list[Job]:
        """Those of the jobs whose result is what such a run has made, from whatever and however.

        Raises StorageError if a journal cannot be read.
        """
        return [job for job, record in self._records(jobs) if record and _is_of(record, job.target)]

    def _records(self, jobs: Iterable[Job]) -> list[tuple[Job, Record | None]]:
        with self._lock:
            journals: dict[Path, Journal] = {}
            found = []
            for job in jobs:
                if (journal := journals.get(job.place)) is None:
                    journal = journals[job.place] = self._journal(job.place)
                    journal.refresh()
                found.append((job, journal.record_of(job.result)))
        return found

    def _holds(self, record: Record | None, job: Job) -> bool:
        """Whether a record is of this source and of these settings, and the result is there."""
        if record is None or record.settings != self._key:
            return False
        try:
            os.stat(f"{job.place}{os.sep}{job.result}")  # noqa: PTH116 (faster, for many images)
            facts = os.stat(f"{job.folder}{os.sep}{job.name}")  # noqa: PTH116
            if facts.st_size != record.size:
                return False
            return facts.st_mtime_ns == record.mtime_ns or _sha256(job.source) == record.sha256
        except OSError:
            return False  # reading it will report what is wrong with it

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

    def forget(self, job: Job) -> None:
        """Note that the result which is there, if any, is to be made again. Raises StorageError."""
        ((_, record),) = self._records([job])
        if record is not None and record.settings:
            self._note(job, Record(record.result_size, record.result_mtime_ns))

    def note(self, job: Job, image: Facts | None, sha256: str) -> None:
        """Note a result that has its name.

        Args:
            image: What the image was before it was read.
            sha256: Of its content; empty if it could not be read.

        Raises StorageError.
        """
        if (result := _facts_of(job.target)) is None:
            return  # it was removed meanwhile
        record = Record(*result)
        if sha256 and image is not None and image == _facts_of(job.source):  # it has not changed
            record = Record(*result, *image, sha256, self._key)
        self._note(job, record)

    def _note(self, job: Job, record: Record) -> None:
        with self._lock:
            self._journal(job.place).append(job.result, record, self._settings)


class Claim:
    """An image that this process does, until `release` or until the process ends."""

    def __init__(self, ledger: Ledger, job: Job, path: Path, file: BinaryIO) -> None:
        self._ledger, self._job = ledger, job
        self._path, self._file = path, file
        self._image: Facts | None = None
        self._sha256 = ""

    def begin(self) -> None:
        """Note, before the work, that what is there is done no more. Raises StorageError.

        The image is read now, so that its line follows the result at once.
        """
        self._image = _facts_of(self._job.source)
        with contextlib.suppress(OSError):  # the work will report that
            self._sha256 = _sha256(self._job.source)
        self._ledger.forget(self._job)

    def note_done(self) -> None:
        """Note that the result has its name. Raises StorageError."""
        self._ledger.note(self._job, self._image, self._sha256)

    def release(self) -> None:
        """Let others have it."""
        _remove(self._path, self._file)


def _is_of(record: Record, result: Path) -> bool:
    """Whether a file is the result that a record is of."""
    if (facts := _facts_of(result)) is None:
        return False
    size, mtime_ns = facts
    return size == record.result_size and abs(mtime_ns - record.result_mtime_ns) <= COARSEST


def _facts_of(path: Path) -> Facts | None:
    """None if it cannot be reached."""
    with contextlib.suppress(OSError):
        facts = path.stat()
        return facts.st_size, facts.st_mtime_ns
    return None


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
