"""The parser of all three programs, and the values that their options take."""

import argparse
import itertools
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from sr_runtime.cli.console import DEBUG
from sr_runtime.errors import ArgumentError
from sr_runtime.printable import shown

__all__ = [
    "Parser",
    "add_debug",
    "nonempty",
    "number",
    "path",
    "program_name",
    "whole_number",
    "whole_number_or",
]


def program_name(script: str, package: str) -> str:
    """The program as the user typed it: argparse would say __main__.py."""
    return script if Path(sys.argv[0]).stem == script else f"python -m {package}"


def add_debug(parser: argparse._ActionsContainer) -> None:
    """Show --debug in the help; `run_cli` takes it from the command line beforehand."""
    parser.add_argument(
        DEBUG, action="store_true", default=argparse.SUPPRESS,
        help="show the traceback of an error (or set SR_DEBUG=1)",
    )  # fmt: skip


class Parser(argparse.ArgumentParser):
    """Raises ArgumentError, one sentence, where argparse would print the usage and exit."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        add_debug(self)

    def parse_known_args(  # type: ignore[override]
        self, args: Any = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Refuse unknown arguments here, where the options of the command are known."""
        for word in self._options_that_are_files(sys.argv[1:] if args is None else args):
            self.error(f"{shown(word)} looks like an option: write ./{word} for the file")
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            word = unknown[0].partition("=")[0]
            near = _near(word, self._option_string_actions) if word.startswith("-") else ""
            self.error(f"{shown(unknown[0])} is not known{near}")
        return found, unknown

    def _options_that_are_files(self, words: Sequence[str]) -> Iterator[str]:
        if self._subparsers is not None:  # the parser of the command knows its options
            return
        for word in itertools.takewhile(lambda word: word != "--", words):
            if word.startswith("-") and word not in self._option_string_actions:
                with suppress(OSError):
                    if Path(word).is_file():
                        yield word

    def error(self, message: str) -> NoReturn:
        """Raise `message`, with the nearest choice if there is one."""
        said = " ".join(message.removeprefix("argument ").split())
        if choice := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", said):
            given, choices = choice.groups()
            said = (
                f"{said[: choice.start()]}{shown(given)} is none of {choices.replace(chr(39), '')}"
                f"{_near(given, re.findall(r'[^ ,]+', choices.replace(chr(39), '')))}"
            )
        said += "" if said.endswith("?") else ";"
        raise ArgumentError(f"{said} `{self.prog} --help` lists the arguments")


def _near(word: str, known: Any) -> str:
    match = get_close_matches(word, known, 1)
    return f": did you mean {match[0]}?" if match else ""


def nonempty(text: str) -> str:
    """A name or a path; an empty one, from an unset variable, would mean the current folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty: give a name")
    return text


def path(text: str) -> Path:
    """A path."""
    return Path(nonempty(text))


def whole_number(text: str) -> int:
    """An int that fits 64 bits."""
    if not re.fullmatch(r"[+-]?\d{1,18}", text):
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a whole number below 10^18")
    return int(text)


def whole_number_or(*words: str) -> Callable[[str], int | str]:
    """The type of an option that takes some words too."""

    def parse(text: str) -> int | str:
        if text in words:
            return text
        try:
            return whole_number(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error}, and not {' or '.join(words)}") from None

    return parse


def number(text: str) -> float:
    """A finite float."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a number")
    return value
