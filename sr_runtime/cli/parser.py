"""The parser of all three programs, and the values that their options take."""

import argparse
import math
import os
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from sr_runtime.cli.help import HelpFormatter, add_general_options, examples_text
from sr_runtime.cli.mistakes import no_command, wrong_option
from sr_runtime.errors import ArgumentError
from sr_runtime.nearest import nearest
from sr_runtime.printable import shown

__all__ = [
    "Parser",
    "add_command",
    "nonempty",
    "number",
    "path",
    "program_name",
    "whole_number",
    "whole_number_or",
]

# How argparse begins, before the names of the arguments.
REQUIRED = "the following arguments are required: "
# What an option takes that takes several words, or one that can be left out.
EATS = {"+": "every word", "?": "the word"}
# Its other sentences that need plainer words, as patterns.
PHRASES = {
    "expected (at least )?one argument": "a value is missing",
    "not allowed with argument (.*)": r"cannot be together with \1: leave one of them out",
    "ignored explicit argument (.*)": r"takes no value: leave out \1",
}


def program_name(script: str, package: str) -> str:
    """The program as the user typed it: argparse would say __main__.py."""
    return script if Path(sys.argv[0]).stem == script else f"python -m {package}"


class Parser(argparse.ArgumentParser):
    """Raises ArgumentError, one sentence, where argparse would print the usage and exit."""

    def __init__(
        self, *, examples: Mapping[str, str] | None = None, epilog: str = "", **options: Any
    ) -> None:
        """Take the words of each example without the program, with a comment or an empty text."""
        super().__init__(formatter_class=HelpFormatter, add_help=False, **options)
        shown_examples = examples_text(self.prog, examples) if examples else ""
        self.epilog = f"{shown_examples}\n\n{epilog}".strip()
        self._positionals.title = "arguments"
        self.general = add_general_options(self)
        """The group of options that every command has."""

    def format_help(self) -> str:
        """The help, with the general options last."""
        self._action_groups.sort(key=lambda group: group is self.general)
        return super().format_help()

    def parse_known_args(  # type: ignore[override]
        self, args: Any = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Refuse what is wrong here, where the options of the command are known."""
        self._words = list(sys.argv[1:] if args is None else args)
        if wrong := self._wrong_word():
            self.error(wrong)
        found, left = super().parse_known_args(self._words, namespace)
        if left:
            self.error(self._left_over(left[0]))
        return found, left

    def _wrong_word(self) -> str | None:
        options = self._option_string_actions
        if self._subparsers is None:
            return wrong_option(self._words, options)
        first = self._words[0].partition("=")[0] if self._words else ""
        commands = self._commands()
        if first in commands or (first and any(option.startswith(first) for option in options)):
            return None
        return no_command(self._words, self.prog, commands)

    def _commands(self) -> Collection[str]:
        return next(
            action.choices
            for action in self._actions
            if isinstance(action, argparse._SubParsersAction)
        )

    def _left_over(self, word: str) -> str:
        """What to do with a word that has no place."""
        before = self._words[self._words.index(word) - 1]
        action = self._option_string_actions.get(before)
        is_file = Path(word).suffix or os.path.lexists(word)
        if action is not None and action.nargs == 0 and not is_file:
            return f"{before} takes no value: leave out {shown(word)}"
        lists = [str(action.metavar) for action in self._actions if action.nargs == "+"]
        if lists and not word.startswith("-"):
            return f"{shown(word)} stands apart: write each {lists[0]} beside the others"
        return f"{shown(word)} is one word too many"

    def _missing(self, names: Sequence[str]) -> str:
        """What to write for the arguments that are missing."""
        missing = [action for action in self._actions if _name(action) in names]
        said = (
            f"{' and '.join(map(_usage, missing))} {'is' if len(missing) == 1 else 'are'} missing"
        )
        if len(missing) > 1:
            return said
        if not missing[0].option_strings:
            options = self._option_string_actions.items()
            takes = {name: EATS[action.nargs] for name, action in options if action.nargs in EATS}
            taking = next((word for word in self._words if word in takes), "")
            where = f": write it before {taking}, which takes {takes.get(taking)} after it"
            return said + (where if taking else "")
        # What else was typed is known only once argparse misses nothing.
        missing[0].required = False
        left = super().parse_known_args(self._words)[1]
        option = missing[0].option_strings[0]
        return f"{said}: did you mean {option} {left[0]}?" if len(left) == 1 else said

    def error(self, message: str) -> NoReturn:
        """Raise `message`, with the nearest choice if there is one."""
        said = " ".join(message.removeprefix("argument ").split())
        if (names := said.removeprefix(REQUIRED)) != said:
            said = self._missing(names.split(", "))
        for argparses, ours in PHRASES.items():
            said = re.sub(argparses, ours, said)
        if choice := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", said):
            given, choices = choice.groups()
            said = (
                f"{said[: choice.start()]}{shown(given)} is none of {choices.replace(chr(39), '')}"
                f"{nearest(given, re.findall(r'[^ ,]+', choices.replace(chr(39), '')))}"
            )
        said += "" if said.endswith("?") else ";"
        raise ArgumentError(f"{said} `{self.prog} --help` lists the arguments")


def _name(action: argparse.Action) -> str:
    """What argparse calls an argument."""
    return "/".join(action.option_strings) or str(action.metavar or action.dest)


def _usage(action: argparse.Action) -> str:
    """`-o OUT`."""
    value = str(action.metavar or action.dest.upper())
    return " ".join([*action.option_strings[:1], value])


def add_command(
    commands: "argparse._SubParsersAction[Any]",
    name: str,
    description: str,
    examples: Mapping[str, str],
) -> Parser:
    """Add a command to those of a program, which show the first sentence of its description."""
    summary = re.split(r"\.(?:\s|$)", description, maxsplit=1)[0]
    parser: Parser = commands.add_parser(
        name,
        help=summary[0].lower() + summary[1:],
        description=description,
        examples=examples,
    )
    return parser


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
    digits = re.fullmatch(r"[+-]?(\d+)", text)
    if digits is None or len(digits[1]) > 18:
        limit = " below 10^18" if digits else ""
        raise argparse.ArgumentTypeError(f"{shown(text)} is not a whole number{limit}")
    return int(text)


def whole_number_or(*words: str) -> Callable[[str], int | str]:
    """The type of an option that takes some words too."""

    def parse(text: str) -> int | str:
        if text in words:
            return text
        try:
            return whole_number(text)
        except argparse.ArgumentTypeError as error:
            raise argparse.ArgumentTypeError(f"{error}, nor {' or '.join(words)}") from None

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
