"""What libvips cannot do with files: names that are not UTF-8; and what it says of a full disk."""

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
    for number in errno.errorcode:
        reason = os.strerror(number)
        if f"system error: {reason}" in error.detail:  # and then a list of what failed by that
            return OSError(number, reason)
    return None
