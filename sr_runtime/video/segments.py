"""The finished segments of a result: files in a folder beside it, from which a run goes on.

`clip_x4.mp4.part` holds a Matroska file for each segment and a journal. A segment is finished when
its file is on the disk and its line is in the journal; anything else in the folder is left from a
run that was killed, and is made again.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sr_runtime.errors import StorageError
from sr_runtime.storage.atomic import atomic_path
from sr_runtime.storage.part_folder import (
    lock_part_folder,
    part_folder,
    refuse_other_work,
    remove_part_folder,
)
from sr_runtime.video.encode import Timing

__all__ = ["Segment", "Segments", "opened_segments"]

JOURNAL = "journal.jsonl"


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


class Segments:
    """The segments in one folder, which this process has locked."""

    def __init__(self, target: Path, lock: BinaryIO, made_from: Mapping[str, str]) -> None:
        self.folder = part_folder(target)
        self._target, self._lock = target, lock
        self._journal = self.folder / JOURNAL
        lines = self._journal.read_bytes().split(b"\n")[:-1] if self._journal.exists() else []
        self.finished: list[Segment] = []
        with suppress(ValueError, IndexError):  # a journal that is not even begun
            earlier = json.loads(lines[0])
            self.finished = list(_intact(self.folder, lines[1:]))
        if self.finished:
            refuse_other_work(target, "segments", earlier, made_from)
        self._begin_again(made_from)

    @property
    def frames(self) -> int:
        """How many frames are finished."""
        return sum(len(segment.pts) for segment in self.finished)

    def parts(self) -> list[tuple[Path, Timing]]:
        """The files of the finished ones, and their times."""
        return [(self.folder / each.file, Timing(each.pts, each.end)) for each in self.finished]

    def new_path(self, number: int) -> Path:
        """Where segment `number` is to be written, from 0."""
        return self.folder / f"{number:06}.mkv"

    def add(self, path: Path, timing: Timing, source_sha256: str) -> None:
        """Note that a file is finished, once it is on the disk."""
        try:
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
            with self._journal.open("ab") as file:
                file.write(_line(asdict(segment)))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(f"cannot be written ({error.strerror})", path=path) from error
        self.finished.append(segment)

    def remove(self) -> None:
        """Remove the folder, once the result is there, and free it for other processes."""
        remove_part_folder(self._target, self._lock)

    def _begin_again(self, made_from: Mapping[str, str]) -> None:
        """Remove the unfinished segments, and begin the journal again with the finished ones.

        The journal is replaced in one step: a kill or a full disk in between must not lose them.
        """
        known = {segment.file for segment in self.finished}
        for path in self.folder.glob("*.mkv"):
            if path.name not in known:
                path.unlink()
        with atomic_path(self._journal) as file:
            file.write_bytes(b"".join(map(_line, [made_from, *map(asdict, self.finished)])))


def _line(facts: Mapping[str, Any]) -> bytes:
    return json.dumps(facts).encode() + b"\n"


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
def opened_segments(target: Path, made_from: Mapping[str, str]) -> Iterator[Segments]:
    """The finished segments of `target`.

    Args:
        made_from: All that they depend on, by names for a message.

    Raises:
        ArgumentError: They are made from something else.
        StorageError: The folder cannot be written, or another process writes the same result.
    """
    with lock_part_folder(target) as lock:
        segments = Segments(target, lock, made_from)
        try:
            yield segments
        finally:
            if not segments.finished:  # nothing is worth keeping it
                segments.remove()
