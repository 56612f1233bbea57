"""One process at a time in a folder."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from sr_runtime.errors import StorageError
from sr_runtime.lock import wait_for_lock

__all__ = ["LOCK", "only_process_in"]

LOCK = ".lock"
"""Its file in the folder, which stays there."""


@contextlib.contextmanager
def only_process_in(folder: Path, report: Callable[[str], None]) -> Iterator[None]:
    """Make the folder if need be, and wait until no other process is in it.

    `report` is told of the wait, and of a network drive that has no locks. Raises StorageError if
    the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("wb")
    except OSError as error:
        raise StorageError(
            f"cannot be written ({error.strerror or error}): choose another --root", path=folder
        ) from error
    with file:
        try:
            wait_for_lock(
                file,
                lambda: report(f"{folder}: another process is preparing it; waiting for its end"),
            )
        except OSError as error:
            report(
                f"{folder}: cannot be locked ({error.strerror or error}): do not prepare it twice "
                "at the same time"
            )
        yield
