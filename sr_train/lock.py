"""One process at a time in a folder."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from sr_runtime.errors import ArgumentError
from sr_runtime.lock import wait_for_lock

__all__ = ["LOCK", "only_process_in"]

LOCK = ".lock"
"""Its file in the folder, which stays there."""


@contextlib.contextmanager
def only_process_in(folder: Path) -> Iterator[None]:
    """Make the folder if need be, and wait, saying so, until no other process is in it.

    Raises ArgumentError if it cannot be written. Some network drives know no locks: that is said.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK).open("wb")
    except OSError as error:
        raise ArgumentError(
            f"{folder}: cannot be written ({error.strerror or error}): choose another --root"
        ) from error
    with file:
        try:
            wait_for_lock(
                file,
                lambda: print(
                    f"{folder}: another process is preparing it; waiting until it is done"
                ),
            )
        except OSError as error:
            print(
                f"{folder}: cannot be locked ({error.strerror or error}): prepare it only once at "
                "a time"
            )
        yield
