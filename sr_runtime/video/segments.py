"""The finished segments of a result: files in a folder beside it, from which a run goes on.

`clip_x4.mp4.parts` holds a Matroska file for each segment and a journal. A segment is finished when
its file is on the disk and its line is in the journal; anything else in the folder is left from a
run that was killed, and is made again.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from sr_runtime.errors import StorageError
from sr_runtime.storage.lock import open_lock, try_lock
from sr_runtime.video.encode import Timing

__all__ = ["Segment", "Segments", "opened_segments", "parts_folder"]

JOURNAL = "journal.jsonl"
LOCK = "lock"


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A finished segment, as its line in the journal says."""

    file: str
    sha256: str
    pts: list[int]
    """Of its packets, in the order of the file; source ticks."""
    end: int
    """When its last frame ends."""
    source_sha256: str
    """Of the pixels of its last source frame: a later run looks whether it found the place."""

    @property
    def last_pts(self) -> int:
        return max(self.pts)


def parts_folder(target: Path) -> Path:
    """The folder of a result's segments."""
    return target.with_name(f"{target.name}.parts")


class Segments:
    """The segments in one folder, which this process has locked."""

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        self.folder = folder
        self.finished: list[Segment] = []
        journal = folder / JOURNAL
        lines = journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []
        head = json.dumps(settings, sort_keys=True).encode()
        if lines[:1] == [head]:
            self.finished = list(_intact(folder, lines[1:]))
        self._rewrite(head)

    @property
    def frames(self) -> int:
        """How many frames are finished."""
        return sum(len(segment.pts) for segment in self.finished)

    def path(self, segment: Segment) -> Path:
        """The file of a segment."""
        return self.folder / segment.file

    def new_path(self, number: int) -> Path:
        """Where segment `number` is to be written, from 0."""
        return self.folder / f"{number:06}.mkv"

    def add(self, path: Path, timing: Timing, source_sha256: str) -> None:
        """Note that a file is finished, once it is on the disk."""
        with path.open("rb+") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        segment = Segment(
            file=path.name,
            sha256=digest,
            pts=timing.pts,
            end=timing.end,
            source_sha256=source_sha256,
        )
        self._append(json.dumps(asdict(segment)).encode())
        self.finished.append(segment)

    def remove(self) -> None:
        """Remove the folder, once the result is there."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _rewrite(self, head: bytes) -> None:
        """Begin the journal again with what was found intact, and remove all other files."""
        known = {segment.file for segment in self.finished} | {LOCK}
        for path in self.folder.iterdir():
            if path.name not in known:
                path.unlink()
        self._append(head)
        for segment in self.finished:
            self._append(json.dumps(asdict(segment)).encode())

    def _append(self, line: bytes) -> None:
        try:
            with (self.folder / JOURNAL).open("ab") as file:
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(
                f"cannot be written ({error.strerror})", path=self.folder / JOURNAL
            ) from error


def _intact(folder: Path, lines: list[bytes]) -> Iterator[Segment]:
    """The segments from the first on whose files are what the journal says."""
    for line in lines:
        try:
            segment = Segment(**json.loads(line))
            with (folder / segment.file).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != segment.sha256:
                    return
        except (OSError, ValueError, TypeError):
            return
        yield segment


@contextmanager
def opened_segments(target: Path, settings: Mapping[str, object]) -> Iterator[Segments]:
    """The segments of `target` that were made with the same settings; others are removed.

    Raises:
        StorageError: The folder cannot be written, or another process writes the same result.
    """
    folder = parts_folder(target)
    try:
        folder.mkdir(exist_ok=True)
        lock = open_lock(folder / LOCK)
    except OSError as error:
        raise StorageError(f"cannot be created ({error.strerror})", path=folder) from error
    with lock:
        if not try_lock(lock.fileno()):
            raise StorageError(
                "another process writes the same result: wait for it, or name another", path=folder
            )
        yield Segments(folder, settings)
