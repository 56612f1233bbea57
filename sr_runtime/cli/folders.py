"""Which names lead to the same file, and so which results would replace each other."""

import os
import unicodedata
from functools import lru_cache
from pathlib import Path

from sr_runtime.storage.temporary import temporary_file

__all__ = ["file_key", "folded", "forget_folders", "nearest_existing", "real_folder"]


@lru_cache(maxsize=4096)
def real_folder(folder: Path) -> str:
    """A folder without links; asked once for each, since a folder may hold many thousand images."""
    return os.path.realpath(folder)


def nearest_existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    place = Path(real_folder(folder))
    while not os.path.lexists(place):
        place = place.parent
    return place


def file_key(folder: Path, name: str) -> str:
    """Equal for two names of the same file, which need not exist; links to files are not followed.

    Windows and macOS do not distinguish A.png from a.png, nor macOS the two ways to write é.
    """
    if _ignores_case(folder):
        name = folded(name)
    return f"{real_folder(folder)}{os.sep}{name}"


def folded(name: str) -> str:
    """Equal for all ways to write a name that some disk takes for one."""
    return unicodedata.normalize("NFC", name).casefold()


def forget_folders() -> None:
    """Ask again: folders may have changed since the last command."""
    real_folder.cache_clear()
    _ignores_case.cache_clear()


@lru_cache(maxsize=4096)
def _ignores_case(folder: Path) -> bool:
    """Whether a folder, which need not exist, will."""
    try:
        with temporary_file(nearest_existing(folder)) as made:  # its name has small letters
            return made.path.with_name(made.path.name.upper()).exists()
    except OSError:
        return True  # nothing can be written here, and so nothing replaced
