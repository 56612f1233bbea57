"""A source that changes while it is upscaled: old and new would be mixed in the result."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sr_runtime.errors import ImageError
from sr_runtime.image.header import reading

__all__ = ["fact_of", "unchanged"]


def fact_of(source: Path) -> str:
    """What tells a file from a changed one, and from others, for a message.

    Raises ImageError if the file cannot be read.
    """
    with reading(source):
        facts = source.stat()
        return f"{source.resolve()}, {facts.st_size} bytes of {facts.st_mtime_ns}"


@contextmanager
def unchanged(source: Path, before: str, folders: Sequence[Path]) -> Iterator[None]:
    """Raise ImageError if `fact_of` the source is not `before` at the end of the block.

    Args:
        folders: What is kept of the result, for the message.
    """
    try:
        yield
    except ImageError:  # a file that is being replaced looks damaged
        _check(source, before, folders)
        raise
    _check(source, before, folders)


def _check(source: Path, before: str, folders: Sequence[Path]) -> None:
    if fact_of(source) != before:
        raise ImageError(
            "the file changed while it was upscaled, so that old and new may be mixed in the "
            f"result: delete {' and '.join(map(str, folders))} and upscale it again",
            path=source,
        )
