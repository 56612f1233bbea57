"""The name that somebody probably meant."""

import itertools
from collections.abc import Iterable
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path

__all__ = ["nearest", "nearest_file"]

MOST = 1000
"""Names of a folder that are compared; more would take seconds."""


def nearest(word: str, known: Iterable[str]) -> str:
    """`: did you mean --scale?`, the end of a message about `word`; or nothing."""
    match = _match(word, known, 0.6)
    return f": did you mean {match}?" if match else ""


def nearest_file(path: Path) -> str:
    """The same for a path that does not exist, from the names in its folder."""
    with suppress(OSError, ValueError):  # no such folder either, or a name that none can have
        beside = itertools.islice(path.parent.iterdir(), MOST)
        others = (each.name for each in beside if each.name != path.name)  # a link to nothing
        if match := _match(path.name, others, 0.75):
            return f": did you mean {path.with_name(match)}?"
    return ""


def _match(word: str, known: Iterable[str], cutoff: float) -> str | None:
    by_small = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), by_small, 1, cutoff)
    return by_small[found[0]] if found else None
