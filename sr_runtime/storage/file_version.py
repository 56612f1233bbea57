"""Whether a file is still the one that was read."""

from pathlib import Path

__all__ = ["file_version"]


def file_version(path: Path) -> tuple[int, ...] | None:
    """Equal as long as nobody has written or replaced a file; None if there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
