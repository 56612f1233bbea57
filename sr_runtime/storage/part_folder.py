"""The folder beside a result with what is done of it, so that a run that was killed goes on."""

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from sr_runtime.errors import ArgumentError, StorageError
from sr_runtime.storage.lock import has_name, open_lock, try_lock

__all__ = [
    "LOCK",
    "lock_part_folder",
    "part_folder",
    "refuse_other_work",
    "remove_part_folder",
]

LOCK = "lock"
"""The name of the file that the process has locked that works on the result."""


def part_folder(target: Path) -> Path:
    """The folder: the target's name with `.part` behind it."""
    return target.with_name(f"{target.name}.part")


def lock_part_folder(target: Path) -> BinaryIO:
    """Create the folder, if need be, and lock it until the file that is returned is closed.

    Raises StorageError if it cannot be written, is not one of ours, or another process has it.
    """
    folder = part_folder(target)
    try:
        while True:
            folder.mkdir(exist_ok=True)
            if not (folder / LOCK).exists() and any(folder.iterdir()):
                raise StorageError(
                    "unfinished work is kept in a folder of this name, and this one holds other "
                    "files: rename it, or name another result",
                    path=folder,
                )
            lock = open_lock(folder / LOCK)
            if not try_lock(lock.fileno()):
                lock.close()
                raise StorageError(
                    "another process makes this result: wait for it, or name another file",
                    path=target,
                )
            if has_name(lock.fileno(), folder / LOCK):
                return lock
            lock.close()  # another process has just removed it with its folder
    except OSError as error:
        raise StorageError(f"cannot be written ({error.strerror})", path=folder) from error


def remove_part_folder(target: Path, lock: BinaryIO) -> None:
    """Remove the folder and close its lock, which goes last: nobody begins among what is left."""
    folder = part_folder(target)
    with contextlib.suppress(OSError):  # what cannot be removed does no harm
        for path in folder.iterdir():
            if path.name != LOCK:
                path.unlink()
        if sys.platform == "win32":  # it removes nothing that is open
            lock.close()
        (folder / LOCK).unlink()
        folder.rmdir()
    lock.close()


def refuse_other_work(
    target: Path, what: str, earlier: Mapping[str, str], now: Mapping[str, str]
) -> None:
    """Raise ArgumentError if the parts in the folder are made from something else.

    Args:
        what: What they are, for the message.
        earlier: All that they depend on, by names for the message.
        now: The same of this run.
    """
    for name, value in now.items():
        if (before := earlier.get(name)) != value:
            folder = part_folder(target)
            raise ArgumentError(
                f"an interrupted run left {what} of this result in {folder}, with {name} {before} "
                f"and not {value}: give the same options to go on with them, or delete the folder "
                "to begin anew",
                path=target,
            )
