"""What a probe found, kept in the user's cache by the content of the model."""

import contextlib
import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

from sr_runtime.backends.onnx_metadata import content_hash
from sr_runtime.backends.tensorrt.cache_folder import (
    cache_folder,
    least_recently_used,
    mark_used,
)
from sr_runtime.errors import SRError
from sr_runtime.model_info import PREFIX, ModelInfo
from sr_runtime.storage.atomic import atomic_path, create_folder

__all__ = ["cached_facts", "keep_facts"]

VERSION = 3
"""The probe's version: facts that an older one found are measured again."""

SUFFIX = ".facts.json"
LARGEST = 1 << 16
"""Bytes of an entry, which has less than 2,000."""
MAX_BYTES = 1 << 22
"""Limit on all entries together."""


def cached_facts(model: Path, shape: Sequence[int | None], dtype: str) -> ModelInfo | None:
    """The facts of a model that were measured before; None if there are none that can be used.

    A folder in which others can write is not read, and a damaged entry is ignored.
    """
    try:
        entry = _entry(model, shape, dtype)
        if entry.stat().st_size > LARGEST:
            return None
        found = json.loads(entry.read_text(encoding="utf-8"))
        names = {field.name for field in fields(ModelInfo)}
        measured, assumed = tuple(found.pop("measured")), tuple(found.pop("assumed"))
        if not {*measured, *assumed} <= names:
            return None
        info = ModelInfo.from_metadata(
            {PREFIX + name: str(value) for name, value in found.items() if value is not None}
        )
        if info is not None:
            mark_used(entry)
            return replace(info, measured=measured, assumed=assumed)
        return None
    except (SRError, OSError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None


def keep_facts(model: Path, shape: Sequence[int | None], dtype: str, info: ModelInfo) -> None:
    """Write them for the next start; without a folder for it they are measured again."""
    with contextlib.suppress(SRError, OSError):
        entry = _entry(model, shape, dtype)
        create_folder(entry.parent)
        with atomic_path(entry) as temporary:
            temporary.write_text(json.dumps(asdict(info)), encoding="utf-8")
        for old in least_recently_used(entry.parent, SUFFIX, limit=MAX_BYTES):
            old.unlink(missing_ok=True)


def _entry(model: Path, shape: Sequence[int | None], dtype: str) -> Path:
    """Where the facts of a file are kept: by its content, and that of the files of its weights."""
    facts = f"{VERSION} {list(shape)} {dtype} {content_hash(model)}"
    return cache_folder() / f"{hashlib.sha256(facts.encode()).hexdigest()[:32]}{SUFFIX}"
