"""Writing a file so that its readers see either the old content or all of the new."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from sr_runtime.errors import ArgumentError, StorageError

__all__ = ["atomic_path", "check_target"]


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a fresh path beside `target`; rename it over `target` when the block succeeds.

    The temporary name keeps the suffix, since writers choose the format by it. When the block
    raises, the temporary file is removed and `target` is left as it was.

    Raises:
        StorageError: The disk is full, or the folder is missing or cannot be written.
    """
    target = Path(target)
    temporary = target.with_name(f".{secrets.token_hex(6)}{target.suffix}")
    try:
        yield temporary
        temporary.replace(target)
    except OSError as error:
        if error.errno is None:  # an encoder's own complaint, not the system's
            raise
        raise StorageError(f"cannot be written ({error.strerror})", path=target) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_target(target: Path, *, inputs: Iterable[Path] = ()) -> None:
    """Check, before the work, that `target` can be written and is not one of the inputs.

    Raises:
        ArgumentError: It is a folder or an input, or its folder does not exist.
        StorageError: It is read-only, or its folder or disk cannot be written.
    """
    try:
        if target.is_dir():
            raise ArgumentError("this is a folder: name a file", path=target)
        if not target.parent.is_dir():
            raise ArgumentError(
                f"the folder {target.parent} does not exist: create it first", path=target
            )
        # Access lists, read-only systems and quotas show only when something is written.
        with tempfile.TemporaryFile(dir=target.parent):
            pass
        if target.exists() and not os.access(target, os.W_OK):
            raise StorageError("cannot be written (the file is read-only)", path=target)
        for path in inputs:
            if target.exists() and path.exists() and target.samefile(path):
                raise ArgumentError(
                    "this is an input, which is never overwritten: name another file", path=target
                )
    except OSError as error:
        raise StorageError(f"cannot be written ({error.strerror})", path=target) from error
