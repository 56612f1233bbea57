"""What every program has: its version, and the completion of its words in a shell."""

import argparse
from collections.abc import Iterator
from typing import Any

import sr_runtime
from sr_runtime.cli.parser import nonempty, path
from sr_runtime.errors import ArgumentError, require_extra

__all__ = ["add_program_options"]

SHELLS = ("bash", "zsh", "fish", "tcsh")


def add_program_options(parser: argparse.ArgumentParser) -> None:
    """Add --version and --print-completion to the parser of a program."""
    parser.add_argument(
        "--version", action="version", version=sr_runtime.__version__, help="print the version"
    )
    parser.add_argument(
        "--print-completion", action=_PrintCompletion, choices=SHELLS,
        default=argparse.SUPPRESS,
        help="print a script with which the shell completes commands, options and files",
    )  # fmt: skip


class _PrintCompletion(argparse.Action):
    """Print the script of a shell, which shtab makes from the parser, and exit."""

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
        for action in _actions(parser):
            if action.type in (path, nonempty):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        print(shtab.complete(parser, shell=values))
        parser.exit()


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The arguments of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
