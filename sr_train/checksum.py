"""The SHA-256 of a file."""

import hashlib
from pathlib import Path

from sr_runtime.errors import StorageError

__all__ = ["file_sha256"]


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal; StorageError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(f"cannot be read ({error.strerror or error})", path=path) from error
