"""The commit that a benchmark measured."""

import subprocess
from pathlib import Path

__all__ = ["commit"]

HERE = Path(__file__).parents[1]
PACKAGES = ("sr_runtime", "sr_train", "sr_export")


def commit(folder: Path = HERE) -> str | None:
    """The commit of a clone, with "+changes" if its packages differ from it; None outside of one.

    What benchmarks write, their results and the documentation, does not count.
    """
    try:
        name = _git(folder, "rev-parse", "--short", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--", *PACKAGES)
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{name}+changes" if changed else name


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
