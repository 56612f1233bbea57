"""The folder of engines that are built on first use, and of their kernels and timings."""

import contextlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from sr_runtime.errors import StorageError
from sr_runtime.storage.user_folder import VARIABLES, user_folder

__all__ = ["CACHE_VARIABLE", "cache_folder", "least_recently_used", "mark_used"]

CACHE_VARIABLE = VARIABLES["caches"]


def cache_folder() -> Path:
    """$SR_CACHE, else a folder in the system's folder for a user's caches. It may not exist yet.

    Raises StorageError if other users can write into it: an engine is a program for the GPU.
    """
    folder = user_folder("caches")
    if sys.platform != "win32" and folder.exists():
        status = folder.stat()
        # Many systems give each user a group of their own.
        shared = status.st_mode & stat.S_IWGRP and status.st_gid != os.getegid()
        if shared or status.st_mode & stat.S_IWOTH or status.st_uid not in (0, os.geteuid()):
            raise StorageError(
                "other users can write into this folder, and engines are programs: take their "
                f"permission away, or set {CACHE_VARIABLE} to a folder of your own",
                path=folder,
            )
    return folder


def mark_used(file: Path) -> None:
    """Note that a cached file is used now."""
    with contextlib.suppress(OSError):  # a folder that can only be read
        os.utime(file)


def least_recently_used(folder: Path, suffix: str, *, limit: int) -> Iterator[Path]:
    """The files of a suffix that go if those used last are kept, up to `limit` bytes together.

    The last one used is always kept.
    """
    found = []
    for path in folder.glob(f"[!.]*{suffix}"):  # without those that are being written
        with contextlib.suppress(FileNotFoundError):  # another process deletes too
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    total = 0
    for number, (_, size, path) in enumerate(sorted(found, reverse=True)):
        total += size
        if number > 0 and total > limit:
            yield path
