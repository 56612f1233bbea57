"""A source that changes while it is upscaled: rows of both would be mixed in the result."""

from collections.abc import Sequence
from pathlib import Path

from sr_runtime.errors import ImageError
from sr_runtime.image.header import reading
from sr_runtime.large.kept_rows import KeptRows
from sr_runtime.made_with import input_fact

__all__ = ["check_unchanged", "fact_of"]


def fact_of(source: Path) -> str:
    """`input_fact`; ImageError if the file cannot be read."""
    with reading(source):
        return input_fact(source)


def check_unchanged(source: Path, before: str, kept: Sequence[KeptRows]) -> None:
    """Raise ImageError if `fact_of` the source is not what it was before the work."""
    if fact_of(source) != before:
        folders = " and ".join(str(rows.folder) for rows in kept)
        raise ImageError(
            "the file changed while it was upscaled, so that rows of both may be mixed in the "
            f"result: delete {folders} and upscale it again",
            path=source,
        )
