"""The name that somebody probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["nearest"]


def nearest(word: str, known: Iterable[str]) -> str:
    """`: did you mean --scale?`, the end of a message about `word`; or nothing."""
    match = get_close_matches(word, list(known), 1)
    return f": did you mean {match[0]}?" if match else ""
