"""libvips and files: names that are not UTF-8, and which of its errors are the system's."""

import errno
import os
from pathlib import Path
from typing import Any

from sr_runtime.errors import StorageError

__all__ = ["check_name", "os_error_of"]


def check_name(path: Path) -> None:
    """Raise StorageError for a file whose name, or whose folder's, libvips cannot be given."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError as error:
        raise StorageError(
            "an image too large for memory needs a name in UTF-8, and folders too: rename it",
            path=path,
        ) from error


def os_error_of(error: Any) -> OSError | None:
    """The system's error that one of libvips tells of, that the disk is full, for instance."""
    # A list of what failed by it follows. "No such device or address" begins like another error.
    numbers = [n for n in errno.errorcode if f"system error: {os.strerror(n)}" in error.detail]
    number = max(numbers, key=lambda number: len(os.strerror(number)), default=None)
    return None if number is None else OSError(number, os.strerror(number))
