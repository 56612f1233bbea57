"""Whether results can be written where they go, before the first one is there."""

import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from sr_runtime.cli.folders import nearest_existing
from sr_runtime.cli.pipes import is_pipe
from sr_runtime.errors import StorageError

__all__ = ["target_errors"]


def target_errors(targets: Iterable[Path]) -> dict[Path, StorageError]:
    """What keeps files from being written, as far as that is known.

    Raises StorageError if none of the folders can be written into.
    """
    targets = list(targets)
    places = {folder: nearest_existing(folder) for folder in {each.parent for each in targets}}
    refusals = {folder: _folder_error(folder, place) for folder, place in places.items()}
    if refusals and all(refusals.values()):
        raise next(error for error in refusals.values() if error)
    found = {
        target: refusals[target.parent] or _file_error(target, places[target.parent])
        for target in targets
    }
    return {target: error for target, error in found.items() if error}


def _folder_error(folder: Path, place: Path) -> StorageError | None:
    try:
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        return StorageError(f"cannot be written into ({error.strerror})", path=folder)


def _file_error(target: Path, place: Path) -> StorageError | None:
    """Why there can be no file of this name; it may be too long, or a pipe that nobody reads."""
    try:
        with suppress(FileNotFoundError):
            (place / target.name).lstat()
    except OSError as error:
        reason = f"cannot be written ({error.strerror}): choose another name with -o or --name"
        return StorageError(reason, path=target)
    if is_pipe(target):
        reason = "is a pipe or a device, which -o alone can name: delete it, or choose another name"
        return StorageError(reason, path=target)
    return None
