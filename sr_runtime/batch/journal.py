"""The journal of one folder of results: a line of JSON for each, which says how it was made.

A line is written right before its result gets its name. So every result has one, and some lines are
of none: the process was killed in between, or a later result took the name.
"""

import errno
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sr_runtime.errors import StorageError

__all__ = ["COARSEST", "JOURNAL", "Journal", "Record"]

JOURNAL = ".sr-journal.jsonl"

COARSEST = 2_000_000_000
"""Nanoseconds in which FAT counts the times of files."""


class Record(NamedTuple):
    """From which file a result was made, and how. Nothing of that is known if the file has changed
    while it was upscaled: then the result is never done.
    """

    result_size: int
    """Bytes."""
    result_mtime_ns: int
    size: int = 0
    """Bytes."""
    mtime_ns: int = 0
    sha256: str = ""
    settings: str = ""
    """The key of a line of the journal that has them in words."""

    def distance(self, size: int, mtime_ns: int) -> tuple[bool, int]:
        """From the result to a file of this size and time."""
        return size != self.result_size, abs(mtime_ns - self.result_mtime_ns)

    def is_of(self, size: int, mtime_ns: int) -> bool:
        """Whether a file of this size and time is the result."""
        return self.distance(size, mtime_ns) <= (False, COARSEST)


class Journal:
    """Reads what any process has appended, and appends. One thread may call it at a time."""

    def __init__(self, folder: Path) -> None:
        """The journal of a folder, which may not exist yet."""
        self._path = folder / JOURNAL
        self._records: dict[str, list[Record]] = {}
        self._settings: set[str] = set()
        self._read = 0  # bytes of whole lines
        self._size = 0  # of the file when it was read

    def refresh(self) -> None:
        """Read what processes have noted since the last call.

        Raises StorageError if the journal is there and cannot be read.
        """
        try:
            size = self._path.stat().st_size
            if size != self._size:
                self._read_on()
                self._size = size
        except FileNotFoundError:
            self._forget()
        except OSError as error:
            raise StorageError(f"cannot be read ({error.strerror})", path=self._path) from error

    def records_of(self, name: str) -> Sequence[Record]:
        """How results of this name were made, the last one last, as of the last `refresh`."""
        return self._records.get(name, [])

    def append(self, name: str, record: Record, settings: Mapping[str, str]) -> None:
        """Note how a result was made; the line is on the disk when this returns.

        Raises StorageError.
        """
        lines = [{"target": name, **record._asdict()}]
        if record.settings and record.settings not in self._settings:
            lines.insert(0, {"settings": record.settings, "are": dict(settings)})
        text = "".join(json.dumps(line) + "\n" for line in lines)
        try:
            # Lines of other processes stay whole: each is appended by one call of the system.
            with self._path.open("a+b", buffering=0) as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(0, end - 1))
                torn = end > 0 and file.read(1) != b"\n"  # by a crash of the system
                line = b"\n" * torn + text.encode()
                if file.write(line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(f"cannot be written ({error.strerror})", path=self._path) from error
        self._settings.add(record.settings)

    def _forget(self) -> None:
        self._read = self._size = 0
        self._records.clear()
        self._settings.clear()

    def _read_on(self) -> None:
        with self._path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < self._read:  # it is another file
                self._forget()
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                self._take(line)

    def _take(self, line: bytes) -> None:
        """Note a line; one that a crash has damaged says nothing."""
        try:
            content = json.loads(line)
            if "target" in content:
                name = content.pop("target")
                self._records.setdefault(name, []).append(Record(**content))
            else:
                self._settings.add(content["settings"])
        except (ValueError, TypeError, KeyError):
            return
