"""The completion of a program's words in a shell."""

import argparse
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sr_runtime.cli.parser import Parser, path
from sr_runtime.embedded import EMBEDDED
from sr_runtime.errors import ArgumentError, require_extra
from sr_runtime.model_folder import own_names

__all__ = ["add_print_completion", "suggest", "suggest_models"]

SHELLS = ("bash", "zsh", "fish", "tcsh")

# What shtab writes for zsh, and what is meant.
ZSH = (
    # All words of an argument that takes several, not only the first.
    (r'^  "\(\*\)::?', '  "*:'),
    # The value of a long option after = too.
    (r'^  ("--[\w.-]+|\{-\w,--[\w.-]+)(\[|\}"\[)(?=.*[^\\]\]:)', r"  \1=\2"),
)


def add_print_completion(parser: Parser, fill: Callable[[], None] = lambda: None) -> None:
    """Add --print-completion to the parser of a program.

    Args:
        fill: Adds to the parser what is too slow to import for each call of the program.
    """
    parser.general.add_argument(
        "--print-completion", action=_PrintCompletion, choices=SHELLS,
        default=argparse.SUPPRESS, fill=fill,
        help="print a script with which the shell completes commands, options, names and files",
    )  # fmt: skip


def suggest(action: argparse.Action, *words: str, files: bool = False) -> None:
    """Have shells complete these words, and files, where an argument takes others too.

    An argument of the type `path` has its files completed, and one with choices has these, without
    a call.
    """
    action.suggested = (lambda: words), files  # type: ignore[attr-defined]


def suggest_models(action: argparse.Action) -> None:
    """Have shells complete the models that have a name when they read the script, and files."""
    action.suggested = _model_names, True  # type: ignore[attr-defined]


def _model_names() -> list[str]:
    # A shell would take any other character for its own.
    return [*EMBEDDED, *(name for name in own_names() if re.fullmatch(r"[\w.+-]+", name))]


class _PrintCompletion(argparse.Action):
    """Print the script of a shell, which shtab makes from the parser, and exit."""

    def __init__(self, *args: Any, fill: Callable[[], None], **options: Any) -> None:
        super().__init__(*args, **options)
        self._fill = fill

    def __call__(
        self, parser: argparse.ArgumentParser, _: Any, values: Any, option_string: Any = None
    ) -> None:
        if parser.prog.startswith("python"):
            raise ArgumentError(
                "a shell completes programs, not modules of python -m: run this with sr-upscale, "
                "sr-export or sr-train"
            )
        with require_extra("completion", raising=ArgumentError):
            import shtab
        self._fill()
        for action in _actions(parser):
            listed, files = getattr(action, "suggested", (lambda: (), action.type is path))
            words: Sequence[str] = listed()
            if words and files:
                action.complete = _words_or_files(words)  # type: ignore[attr-defined]
            elif files:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif words:
                action.choices = words  # the parser parses nothing more
        script = shtab.complete(parser, shell=values)
        if values == "zsh":
            for wrong, right in ZSH:
                script = re.sub(wrong, right, script, flags=re.MULTILINE)
        print(script)
        parser.exit()


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The arguments of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)


def _words_or_files(words: Sequence[str]) -> dict[str, Any]:
    """What each shell runs to complete words and files, as shtab takes it; tcsh has only files."""
    listed = " ".join(words)
    # shtab has bash show only the last part of a path if the function's name has `_file`.
    name = f"_sr_file_or_{hashlib.sha256(listed.encode()).hexdigest()[:8]}"
    function = f'{name}() {{ compgen -W "{listed}" -- "$1"; compgen -f -- "$1"; }}'
    return {
        "bash": name,
        "zsh": f"{{compadd -- {listed}; _files}}",
        "fish": f"(printf '%s\\n' {listed}; __fish_complete_path (commandline -ct))",
        "tcsh": "f",
        "preamble": {"bash": function},
    }
