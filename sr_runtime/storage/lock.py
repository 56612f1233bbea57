"""A lock that one process holds at a time; the system frees it when the process ends, even by a
crash."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO
from weakref import WeakSet

from sr_runtime.errors import StorageError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

__all__ = ["has_name", "open_lock", "try_lock", "wait_for_lock"]

_opened: WeakSet[BinaryIO] = WeakSet()


def open_lock(path: Path) -> BinaryIO:
    """Open a file to be locked; it is created if need be, and its content stays as it is.

    Raises:
        StorageError: It is a link, which could lead to any file.
        OSError: It cannot be opened or created.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    try:
        file = os.fdopen(os.open(path, flags, 0o666), "r+b", buffering=0)
    except OSError as error:
        if path.is_symlink():
            raise StorageError(
                "is a link, and a lock must be a file of its own: delete the link", path=path
            ) from error
        raise
    _opened.add(file)
    return file


def wait_for_lock(descriptor: int, on_wait: Callable[[], None] = lambda: None) -> None:
    """Wait until no other process has locked an open file, then lock it until it is closed.

    Args:
        on_wait: Called once if another process has it.

    Raises:
        OSError: The file system has no locks, like some network drives.
    """
    if not try_lock(descriptor):
        on_wait()
        while not try_lock(descriptor):
            time.sleep(0.1)


def try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed; False if it is locked already.

    Raises:
        OSError: The file system has no locks, like some network drives.
    """
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except (BlockingIOError, PermissionError):  # the second on Windows
        return False


def has_name(descriptor: int, path: Path) -> bool:
    """Whether an open file or folder is still the one of this name: another may have removed it."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _close_in_child() -> None:
    """A lock lasts until every copy is closed, and workers may outlive a process that is killed."""
    for file in _opened:
        file.close()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_close_in_child)
