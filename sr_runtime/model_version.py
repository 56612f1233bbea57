"""Whether a model's files are still those that were loaded."""

from pathlib import Path
from typing import TypeAlias

from sr_runtime.backends.choice import is_engine
from sr_runtime.backends.onnx_metadata import data_files

__all__ = ["ModelVersion", "version_of"]

ModelVersion: TypeAlias = tuple[tuple[int, ...] | None, ...]
"""Of each file of a model: device, inode, bytes, time; None if there is no such file."""


def version_of(model: Path) -> ModelVersion:
    """Equal as long as nobody has written or replaced a file of the model.

    Raises ModelError if it is no ONNX model, by its content, and no engine, by its name.
    """
    others = [] if is_engine(model) else sorted(data_files(model))
    return tuple(map(_facts, (model, *(model.parent / name for name in others))))


def _facts(path: Path) -> tuple[int, ...] | None:
    try:
        facts = path.stat()
    except (OSError, ValueError):  # the second for a name that no file can have
        return None
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
