"""Results on disk."""

import json
from pathlib import Path
from typing import Any

from sr_runtime.storage.atomic import atomic_path

__all__ = ["write_json"]


def write_json(path: Path, results: Any) -> None:
    """Write the whole file or nothing; StorageError if it cannot be written."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
