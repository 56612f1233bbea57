"""The folders that a system gives each user, for caches and for models."""

import os
import sys
from pathlib import Path
from typing import Literal

from sr_runtime.errors import StorageError

__all__ = ["VARIABLES", "user_folder"]

Kind = Literal["caches", "models"]

VARIABLES = {"caches": "SR_CACHE", "models": "SR_MODELS"}
"""The environment variables that set other folders."""

# Below %LOCALAPPDATA%, below ~/Library, and where the XDG base directory specification has them: a
# variable and, below the home folder, what holds without it.
WINDOWS = {"caches": "sr-toolkit/Cache", "models": "sr-toolkit/Models"}
MACOS = {"caches": "Caches/sr-toolkit", "models": "Application Support/sr-toolkit/Models"}
XDG = {
    "caches": ("XDG_CACHE_HOME", ".cache", "sr-toolkit"),
    "models": ("XDG_DATA_HOME", ".local/share", "sr-toolkit/models"),
}


def user_folder(kind: Kind) -> Path:
    """What the environment variable says, else the system's place. It may not exist yet.

    Raises StorageError if the user has no home folder, as in some containers.
    """
    if chosen := os.environ.get(VARIABLES[kind]):
        return Path(chosen)
    try:
        return _place(kind)
    except RuntimeError as error:  # of Path.home()
        raise StorageError(
            f"the home folder of this user is not known, and with it the folder for {kind}: set "
            f"{VARIABLES[kind]} to a folder"
        ) from error


def _place(kind: Kind) -> Path:
    if sys.platform == "win32":
        local = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        return local / WINDOWS[kind]
    if sys.platform == "darwin":
        return Path.home() / "Library" / MACOS[kind]
    variable, usual, ours = XDG[kind]
    base = Path(os.environ.get(variable, ""))
    # The specification says to ignore relative paths.
    return (base if base.is_absolute() else Path.home() / usual) / ours
