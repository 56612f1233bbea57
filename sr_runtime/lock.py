"""A lock that one process holds at a time; the system frees it when the process ends, even by a
crash."""

import sys
import time
from collections.abc import Callable
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["try_lock", "wait_for_lock"]


def wait_for_lock(file: BinaryIO, on_wait: Callable[[], None]) -> None:
    """Wait until no other process has locked an open file, then lock it until it is closed.

    Args:
        on_wait: Called once if another process has it.

    Raises:
        OSError: The file system has no locks, like some network drives.
    """
    if not try_lock(file):
        on_wait()
        while not try_lock(file):
            time.sleep(0.2)


def try_lock(file: BinaryIO) -> bool:
    """Lock an open file until it is closed; False if another process has it."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except (BlockingIOError, PermissionError):  # the second on Windows
        return False
