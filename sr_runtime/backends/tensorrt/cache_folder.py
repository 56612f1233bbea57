"""The folder of engines that are built on first use, and of their kernels and timings."""

import os
import sys
from pathlib import Path

__all__ = ["CACHE_VARIABLE", "cache_folder"]

CACHE_VARIABLE = "SR_CACHE"
"""The environment variable that sets another folder."""


def cache_folder() -> Path:
    """$SR_CACHE, else a folder in the system's folder for a user's caches. It may not exist yet."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        return base / "sr-toolkit" / "Cache"
    # The XDG base directory specification says to ignore relative paths.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "sr-toolkit"
