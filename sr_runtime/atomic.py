"""Writing a file so that its target is either the old one or the complete new one."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

__all__ = ["atomic_path"]


@contextlib.contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a fresh path beside `target`; rename it over `target` when the block succeeds.

    The temporary name keeps the suffix, since writers choose the format by it. When the block
    raises, the temporary file is removed and `target` is left as it was.
    """
    target = Path(target)
    temporary = target.with_name(f".{secrets.token_hex(6)}{target.suffix}")
    try:
        yield temporary
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
