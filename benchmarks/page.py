"""A part of a documentation page that a benchmark writes, between two marks."""

from pathlib import Path

from sr_runtime.errors import ArgumentError
from sr_runtime.storage.atomic import atomic_path

__all__ = ["write_part"]

END = "<!-- End of the table. -->"


def write_part(page: Path, command: str, text: str | None) -> None:
    """Replace what `command` wrote in the page; with `text` None, check only that it can be.

    Raises ArgumentError if the page has no mark of the command.
    """
    mark = f"<!-- The table is written by `{command}`. -->"
    content = page.read_text(encoding="utf-8") if page.is_file() else ""
    before, found, rest = content.partition(mark)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ArgumentError(f"has no lines {mark} and {END} between which to write", path=page)
    if text is not None:
        with atomic_path(page) as temporary:
            temporary.write_text(f"{before}{mark}\n\n{text}\n\n{END}{after}", encoding="utf-8")
