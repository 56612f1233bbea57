"""The rows of a result in a folder beside it, so that a run that was killed goes on with them.

The folder holds the rows as they come, one after the other, and a journal: what the result is made
from and how, and of each band its number of rows and a checksum. A band counts once the journal has
it, and the journal has it once its rows are on the disk.
"""

import json
import os
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from sr_runtime.errors import StorageError
from sr_runtime.storage.atomic import atomic_path
from sr_runtime.storage.part_folder import (
    lock_part_folder,
    part_folder,
    refuse_other_work,
    remove_part_folder,
)

__all__ = ["KeptRows", "check_room", "has_kept_rows"]

JOURNAL = "journal.json"

Band = tuple[int, int]
"""How many rows it has, and their CRC-32."""


def check_room(target: Path, needed: int) -> None:
    """Raise StorageError if the disk of `target` has less room than the rows that are missing."""
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise StorageError(
            f"the rows of this result take {needed / 1e6:,.0f} MB before they are compressed, and "
            f"{free / 1e6:,.0f} MB of the disk are free: make room, or name a file on another disk",
            path=target,
        )


def has_kept_rows(target: Path) -> bool:
    """Whether an interrupted run left rows of this result."""
    return (part_folder(target) / JOURNAL).exists()


class KeptRows:
    """A `RowWriter` that keeps its rows through crashes; a context manager, which frees the folder.

    Attributes:
        folder: The target's name with `.part` behind it.
        file: The rows in it, without any header.
    """

    def __init__(self, target: Path, made_from: Mapping[str, str]) -> None:
        """
        Args:
            made_from: All that the pixels depend on, by names for a message.
        """
        self.folder = part_folder(target)
        self.file = self.folder / "rows"
        self._target, self._made_from = target, dict(made_from)
        self._journal = self.folder / JOURNAL
        self._bands: list[Band] = []
        self.shape, self.dtype = (0, 0, 0), np.dtype(np.uint8)
        self._rows: BinaryIO | None = None
        self._lock: BinaryIO | None = None

    def __enter__(self) -> Self:
        self._lock = lock_part_folder(self._target)
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None and not self._journal.exists():  # no band is worth keeping it
            self.remove()
        self._close()

    def start(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> int:
        """As `RowWriter.start`: the rows that are there, and whose checksums are right.

        Raises:
            ArgumentError: The folder holds rows of another result.
            StorageError: The disk has less room than the other rows take.
        """
        self.shape, self.dtype = shape, dtype
        self._bands = self._read_journal()
        try:
            self._rows = self.file.open("r+b" if self.file.exists() else "w+b")
            there = self._keep_intact(self._rows)
        except OSError as error:
            raise StorageError(f"cannot be written ({error.strerror})", path=self.file) from error
        check_room(self._target, (shape[0] - there) * self._row_bytes)
        return there

    def write(self, rows: NDArray[Any]) -> None:
        """As `RowWriter.write`; they are on the disk when it returns."""
        assert self._rows is not None
        content = np.ascontiguousarray(rows)
        try:
            self._rows.write(content.data)
            self._rows.flush()
            os.fsync(self._rows.fileno())
        except OSError as error:
            raise StorageError(f"cannot be written ({error.strerror})", path=self.file) from error
        self._bands.append((len(rows), zlib.crc32(content.data)))
        self._write_journal()

    def remove(self) -> None:
        """Remove the folder, when the result is written."""
        assert self._lock is not None
        if self._rows is not None:
            self._rows.close()
        remove_part_folder(self._target, self._lock)
        self._lock = None

    def _close(self) -> None:
        for file in (self._rows, self._lock):
            if file is not None:
                file.close()

    @property
    def _row_bytes(self) -> int:
        return self.shape[1] * self.shape[2] * self.dtype.itemsize

    def _facts(self) -> dict[str, str]:
        height, width, channels = self.shape
        return {
            **self._made_from,
            "size": f"{width}×{height}",
            "kind": f"{channels} channels of {self.dtype}",
        }

    def _read_journal(self) -> list[Band]:
        if not self._journal.exists():
            return []
        try:
            content = json.loads(self._journal.read_text("utf-8"))
            earlier, bands = (
                content["made from"],
                [(int(n), int(crc)) for n, crc in content["bands"]],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(
                f"is damaged ({error}): delete the folder {self.folder}, which an interrupted run "
                "left",
                path=self._journal,
            ) from error
        refuse_other_work(self._target, "rows", earlier, self._facts())
        return bands

    def _write_journal(self) -> None:
        with atomic_path(self._journal) as temporary:
            content = {"made from": self._facts(), "bands": self._bands}
            temporary.write_text(json.dumps(content), "utf-8")

    def _keep_intact(self, rows: BinaryIO) -> int:
        """Cut the file behind the last band before the first damaged one; return its rows."""
        there = intact = 0
        for count, checksum in self._bands:
            content = rows.read(count * self._row_bytes)
            if len(content) != count * self._row_bytes or zlib.crc32(content) != checksum:
                break
            there, intact = there + count, intact + 1
        del self._bands[intact:]
        rows.seek(there * self._row_bytes)
        rows.truncate()
        return there
