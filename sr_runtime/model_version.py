"""Whether a model's files are still those that were loaded."""

from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from sr_runtime.backends.choice import is_engine
from sr_runtime.backends.onnx_metadata import data_files
from sr_runtime.errors import ModelError, StorageError

__all__ = ["ModelVersion", "version_of"]

ModelVersion: TypeAlias = tuple[tuple[int, ...] | None, ...]
"""Of a model's file, and of those of its weights: device, inode, bytes, time; None if there is no
such file."""


def version_of(model: Path) -> ModelVersion:
    """Equal as long as nobody has written, replaced or removed one of the model's files."""
    others: list[str] = []
    if not is_engine(model):
        with suppress(ModelError, StorageError):  # opening it tells what is wrong with it
            others = sorted(data_files(model))
    return tuple(map(_facts, (model, *(model.parent / name for name in others))))


def _facts(path: Path) -> tuple[int, ...] | None:
    try:
        facts = path.stat()
    except (OSError, ValueError):  # the second for a name that no file can have
        return None
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
