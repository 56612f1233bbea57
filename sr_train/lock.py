"""One process at a time, by a lock that its owner's end sets free, however that comes."""

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sr_runtime.errors import ArgumentError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["LOCK", "only_process_in", "try_lock"]

LOCK = ".lock"
"""Its file in the folder, which stays there."""


@contextlib.contextmanager
def only_process_in(folder: Path) -> Iterator[None]:
    """Make the folder if need be, and wait, saying so, until no other process is in it.

    Raises ArgumentError if it cannot be written. Some network drives know no locks: that is said.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("wb")
    except OSError as error:
        raise ArgumentError(
            f"{folder}: cannot be written ({error.strerror or error}): choose another --root"
        ) from error
    with file:
        try:
            if not try_lock(file):
                print(f"{folder}: another process is preparing it; waiting until it is done")
                while not try_lock(file):
                    time.sleep(0.2)
        except OSError as error:
            print(
                f"{folder}: cannot be locked ({error.strerror or error}): prepare it only once at "
                "a time"
            )
        yield


def try_lock(file: BinaryIO) -> bool:
    """Lock an open file until it is closed; False where another process has it."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except (BlockingIOError, PermissionError):  # elsewhere, and on Windows
        return False
