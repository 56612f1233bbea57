"""What people type wrong, found before argparse reports what is missing because of it."""

import argparse
import itertools
import os
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sr_runtime.nearest import nearest
from sr_runtime.printable import shown

__all__ = ["no_command", "with_dashes", "wrong_option"]

LONG_DASHES = "\N{EN DASH}\N{EM DASH}\N{MINUS SIGN}"
"""What web pages and word processors make of hyphens."""


def wrong_option(words: Sequence[str], options: Mapping[str, argparse.Action]) -> str | None:
    """What is wrong with the first of the words of a command that is none of its options."""
    before_dashes = itertools.takewhile(lambda word: word != "--", words)
    for before, word in itertools.pairwise(["", *before_dashes]):
        name = word.partition("=")[0]
        is_value = before in options and options[before].nargs != 0 and not word.startswith("-")
        if name in options or is_value:
            continue
        with suppress(OSError, ValueError):  # a name that no file can have
            if Path(word).is_file():
                if not word.startswith("-"):
                    continue
                return f"{shown(word)} looks like an option: write ./{word} for the file"
        if written := with_dashes(word, options):
            return written
        is_long = name.startswith("--")
        known = any(option.startswith(name) for option in options) if is_long else (
            name[:2] in options or not re.match("-[a-zA-Z]", name)
        )  # fmt: skip
        if not known and " " not in word:
            return f"{shown(name)} is not known{nearest(name, options)}"
    return None


def with_dashes(word: str, options: Collection[str]) -> str | None:
    """How to write `-model`, `model=x` and `—model`; None for everything else."""
    bare = word.lstrip("-" + LONG_DASHES)
    name = bare.partition("=")[0]
    if word.startswith(tuple(LONG_DASHES)) and {f"-{name}", f"--{name}"} & {*options}:
        dashes = "-" if len(name) == 1 else "--"
        return f"{shown(word)} begins with a long dash: write {dashes}{bare}"
    if f"--{name}" not in options or word.startswith("--"):
        return None
    if word.startswith("-"):
        return f"{shown(word)} has one dash and needs two: write --{bare}"
    return f"{shown(word)} has no dashes: write --{bare}" if "=" in word else None


def no_command(words: Sequence[str], program: str, commands: Collection[str]) -> str | None:
    """What to write where the first word is no command."""
    if not words:
        return f"a command is missing, one of {', '.join(commands)}"
    first = words[0]
    typed = next((word for word in words if word in commands), None)
    if typed is not None:
        return f"the command comes first: write `{program} {typed} {first} …`"
    if Path(first).suffix or os.path.lexists(first):  # a photo, a checkpoint, a folder
        return f"a command comes first: write `{program} {next(iter(commands))} {first} …`"
    return None  # argparse refuses it, and names the commands that there are
