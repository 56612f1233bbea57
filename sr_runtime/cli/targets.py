"""Whether results can be written where they go, before the first one is there."""

import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from sr_runtime.errors import StorageError

__all__ = ["real_folder", "target_errors"]


@lru_cache(maxsize=4096)
def real_folder(folder: Path) -> str:
    """A folder without links; asked once for each, since a folder may hold many thousand images."""
    return os.path.realpath(folder)


def target_errors(targets: Iterable[Path]) -> dict[Path, StorageError]:
    """What keeps files from being written, as far as that is known.

    Raises StorageError if none of the folders can be written into.
    """
    targets = list(targets)
    places = {folder: _existing(folder) for folder in {target.parent for target in targets}}
    refusals = {folder: _folder_error(folder, place) for folder, place in places.items()}
    if refusals and all(refusals.values()):
        raise next(error for error in refusals.values() if error)
    found = {
        target: refusals[target.parent] or _name_error(target, places[target.parent])
        for target in targets
    }
    return {target: error for target, error in found.items() if error}


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    place = Path(real_folder(folder))
    while not os.path.lexists(place):
        place = place.parent
    return place


def _folder_error(folder: Path, place: Path) -> StorageError | None:
    try:
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        return StorageError(f"cannot be written into ({error.strerror})", path=folder)


def _name_error(target: Path, place: Path) -> StorageError | None:
    """Why there can be no file of this name; it may be too long."""
    try:
        with suppress(FileNotFoundError):
            (place / target.name).lstat()
    except OSError as error:
        reason = f"cannot be written ({error.strerror}): choose another name with -o or --name"
        return StorageError(reason, path=target)
    return None
