"""Folders that one process at a time works in: data being prepared, runs being trained."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from sr_runtime.errors import ArgumentError, StorageError
from sr_runtime.storage.lock import has_name, open_lock, try_lock, wait_for_lock
from sr_runtime.storage.temporary import remove_leftovers

__all__ = ["LOCK", "only_process_in", "only_training_in"]

LOCK = ".lock"
"""The locked file in the folder; it stays there."""


@contextlib.contextmanager
def only_process_in(folder: Path, report: Callable[[str], None]) -> Iterator[None]:
    """Create the folder if need be, and wait until no other process is in it.

    Folders that this creates are removed after the block if nothing was put into them.

    `report` gets a sentence before a wait, and for a network drive that supports no locks, where
    the folder is used without one.

    Raises:
        StorageError: The folder cannot be written.
    """
    lock = folder / LOCK
    while True:
        created = [path for path in (folder, *folder.parents) if not path.exists()]
        with _lock_file(folder, "another --root") as file:
            _wait(file, folder, report)
            if not has_name(file.fileno(), lock):
                continue  # the process that was waited for has removed it with the folder
            try:
                yield
            finally:
                with contextlib.suppress(OSError):
                    if created and [*folder.iterdir()] == [lock]:
                        lock.unlink()
                    for path in created:
                        path.rmdir()
            return


def _wait(file: BinaryIO, folder: Path, report: Callable[[str], None]) -> None:
    try:
        wait_for_lock(
            file.fileno(),
            lambda: report(f"{folder}: another process is preparing it; waiting for it to finish"),
        )
    except OSError as error:
        report(
            f"{folder}: cannot be locked ({error.strerror or error}): do not prepare it twice at "
            "the same time"
        )


@contextlib.contextmanager
def only_training_in(folder: Path) -> Iterator[None]:
    """Create the folder with its `weights` if need be; remove what a killed run left half written.

    Raises:
        ArgumentError: Another process trains there.
        StorageError: The folder cannot be written.
    """
    with _lock_file(folder, "another folder with --run", subfolder="weights") as file:
        alone = True
        with contextlib.suppress(OSError):  # some network drives support no locks
            alone = try_lock(file.fileno())
        if not alone:
            raise ArgumentError(
                "another process is training this run: stop it first, or choose another name "
                "with --run",
                path=folder,
            )
        for each in (folder, folder / "weights", folder / "samples"):
            remove_leftovers(each)
        yield


def _lock_file(folder: Path, instead: str, *, subfolder: str = "") -> BinaryIO:
    try:
        (folder / subfolder).mkdir(parents=True, exist_ok=True)
        return open_lock(folder / LOCK)
    except OSError as error:
        raise StorageError(
            f"cannot be written ({error.strerror or error}): choose {instead}", path=folder
        ) from error
