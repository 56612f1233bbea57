"""Text from files and file names, made fit for a terminal."""

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePath

__all__ = ["listed", "printable", "shown", "some"]

# Control characters, formatting characters such as those that reverse the direction of text,
# surrogates, and the separators of lines and paragraphs.
HARMFUL = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# They join and part letters and emoji, and nothing else.
JOINERS = "\u200c\u200d"

LONGEST = 1200


def printable(text: object) -> str:
    """`text` as one line: what could move the cursor, forge a line or hide a name is escaped.

    A byte of a file name that is no text in the system's encoding is shown as `\\xff`. The middle
    of an endless text is left out.
    """
    line = str(text)
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"
    return "".join(char if _is_harmless(char) else _escaped(char) for char in line)


def shown(value: object) -> str:
    """A value that somebody gave, for a message: its `repr`, shortened."""
    if isinstance(value, PurePath):
        value = str(value)
    if isinstance(value, str) and len(value) > 60:
        value = f"{value[:40]}…"
    try:
        text = repr(value)
    except Exception:  # an integer of more digits than Python prints, or an error of the object's
        return f"(an {type(value).__name__} that cannot be printed)"
    return text if len(text) <= 60 else f"{text[:40]}…"


def listed(names: Iterable[object], word: str = "and") -> str:
    """`a`, `a and b`, or `a, b and c`."""
    *others, last = map(str, names)
    return f"{', '.join(others)} {word} {last}" if others else last


def some(names: Sequence[object], most: int) -> str:
    """`a.png, b.png and 7 more`: at most so many of the names."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more


def _is_harmless(char: str) -> bool:
    return char in JOINERS or unicodedata.category(char) not in HARMFUL


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # how Python keeps an undecodable byte (PEP 383)
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")
