"""Writing a file so that its target is either the old one or the complete new one."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from sr_runtime.errors import ArgumentError

__all__ = ["atomic_path", "check_target"]


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a fresh path beside `target`; rename it over `target` when the block succeeds.

    The temporary name keeps the suffix, since writers choose the format by it. When the block
    raises, the temporary file is removed and `target` is left as it was.
    """
    target = Path(target)
    temporary = target.with_name(f".{secrets.token_hex(6)}{target.suffix}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def check_target(target: Path, *, inputs: Iterable[Path] = ()) -> None:
    """Raise ArgumentError if `target` cannot be written, or is one of the inputs.

    To be called before the work, so that it is not lost.
    """
    try:
        if target.is_dir():
            raise ArgumentError(f"{target}: this is a folder: give a file name")
        # Only trying tells about access lists, read-only systems and quotas.
        with tempfile.TemporaryFile(dir=target.parent):
            pass
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(0, "the file is read-only")
    except OSError as error:
        if not target.parent.is_dir():
            raise ArgumentError(
                f"{target}: the folder {target.parent} does not exist: create it first"
            ) from error
        raise ArgumentError(f"{target}: cannot be written ({error.strerror})") from error
    for path in inputs:
        if target.exists() and path.exists() and target.samefile(path):
            raise ArgumentError(f"{target} is an input, which is never overwritten: name another")
