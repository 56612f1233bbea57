"""Errors that a caller can act on.

Every message is one sentence that gives what happened, the value, the limit and the next step, fit
to be shown to a user as it is. Anything else that is raised is a bug in this project.
"""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sr_runtime.printable import some

__all__ = [
    "ArgumentError",
    "BackendError",
    "DataError",
    "ImageError",
    "ModelError",
    "NonFiniteError",
    "OutOfMemoryError",
    "SRError",
    "StorageError",
    "about",
    "reading",
    "require_extra",
    "system_error",
    "together",
]

NAMED = 100
"""Files that a message names, at most."""


class SRError(Exception):
    """Base of every error this project raises on purpose.

    `path` is the file or folder that the error is about, or the name of an image in a data set;
    None if there is none. `str()` puts it in front of the message.
    """

    def __init__(self, message: str = "", *, path: str | os.PathLike[str] | None = None) -> None:
        super().__init__(message)
        self.path = None if path is None else Path(path)

    def __str__(self) -> str:
        message = super().__str__()
        return message if self.path is None else f"{self.path}: {message}"


class ArgumentError(SRError, ValueError):
    """An argument is outside what the call accepts."""


class ImageError(SRError):
    """An image cannot be read, or cannot be written as asked."""


class ModelError(SRError):
    """A file is not a super-resolution model, or not one that fits the request."""


class DataError(SRError):
    """A data set, an archive or the state of a run is incomplete, damaged, or not what it should
    be."""


class StorageError(SRError):
    """A file, a folder or a download failed: a full disk, no permission, a lost connection."""


class BackendError(SRError):
    """An inference engine, device or precision was asked for and is not available."""


class OutOfMemoryError(SRError, MemoryError):
    """The device does not have enough memory for the request."""


class NonFiniteError(SRError, ArithmeticError):
    """The network returned NaN or infinity."""


@contextmanager
def about(path: str | os.PathLike[str], *, instead_of: Path | None = None) -> Iterator[None]:
    """Give `path` to every SRError that leaves the block without one, or with `instead_of`.

    Args:
        instead_of: A temporary file, which does not exist any more when the error is read.
    """
    try:
        yield
    except SRError as error:
        if error.path in (None, instead_of):
            error.path = Path(path)
        raise


def together(errors: Sequence[SRError], *, hint: str = "") -> SRError:
    """The first of the errors, whose message also names the files of all others and why.

    So one attempt finds all of them. `hint` comes last.
    """
    first, *others = errors
    parts = [str(first.args[0])]
    if others:
        named = [
            f"{error.path.name if error.path else 'an image'} ({error.args[0].partition(': ')[0]})"
            for error in others
        ]
        images = "another image is" if len(others) == 1 else f"{len(others)} other images are"
        parts.append(f"{images} unfit too: {some(named, NAMED)}")
    first.args = ("; ".join([*parts, hint] if hint else parts),)
    return first


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raise StorageError where the system refuses to read the file or folder `path`."""
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot be read ({error.strerror or error})", path=path) from error


def system_error(error: BaseException) -> OSError | None:
    """`error`, if the system refused a file that may be intact.

    Readers of damaged files seek before the start or beyond any end, which the system calls an
    invalid argument. Where it calls a name so, the error has the name.
    """
    if not isinstance(error, OSError) or error.errno is None:
        return None
    return None if error.errno == errno.EINVAL and error.filename is None else error


@contextmanager
def require_extra(name: str, *, raising: type[SRError] = BackendError) -> Iterator[None]:
    """Raise an error that names the extra to install, if an import in the block fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise raising(f'{error.name} is not installed: pip install "sr-toolkit[{name}]"') from error
    except ImportError as error:
        raise raising(str(error)) from error
