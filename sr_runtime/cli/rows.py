"""Labels and texts as lines, which a terminal shows wrapped."""

import shutil
import sys
import textwrap
from collections.abc import Iterable
from typing import TypeAlias

from sr_runtime.cli.console import say
from sr_runtime.printable import printable

__all__ = ["Row", "say_rows"]

Row: TypeAlias = tuple[str, str]
"""A label and its text. A row without a label goes on with the text of the one before."""

LABEL = 18
"""Columns of a label."""
WIDEST = 100
"""Lines of more columns are hard to read."""


def say_rows(rows: Iterable[Row]) -> None:
    """Print rows. Only a terminal gets them wrapped: programs look for words in whole lines."""
    wraps = sys.stdout is not None and sys.stdout.isatty()
    width = max(LABEL, min(shutil.get_terminal_size().columns, WIDEST) - LABEL)
    for label, text in rows:
        line = printable(text)  # before it is wrapped: a file's name may have an end of line
        lines = textwrap.wrap(line, width, break_on_hyphens=False) if wraps else [line]
        first, *others = lines or [""]
        say(f"{label:<{LABEL}}{first}" if first else label)
        say(*(f"{'':<{LABEL}}{other}" for other in others))
