"""What argparse complains about, as one sentence of this project."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from sr_runtime.errors import ArgumentError

__all__ = ["Once", "Parser", "sentence"]

SENTENCES = (
    (r"argument (\S+): invalid int value: '(.*)'", r"\1 is \2: it must be a whole number"),
    (r"argument (\S+): invalid float value: '(.*)'", r"\1 is \2: it must be a number"),
    (
        r"argument (\S+): invalid choice: '?(.*?)'? \(choose from (.*)\)",
        r"\1 is \2: it must be one of \3",
    ),
    (r"argument (\S+): expected .*argument.*", r"\1 has no value: give it one"),
    (r"argument (\S+): ignored explicit argument '(.*)'", r"\1 takes no value: leave out \2"),
    (r"argument (\S+): (given twice.*)", r"\1 is \2"),
    (r"the following arguments are required: (.*)", r"missing: \1"),
    (r"unrecognized arguments: (.*)", r"unknown: \1"),
)


class Parser(argparse.ArgumentParser):
    """Raises ArgumentError where argparse would print the usage and exit."""

    def error(self, message: str) -> NoReturn:
        """Turn argparse's message into our sentence, with where to read on."""
        raise ArgumentError(f"{sentence(message)}; `{self.prog} --help` tells more")


class Once(argparse.Action):
    """Takes a value, and refuses a second one, of which argparse would keep only the last."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Keep the value, or raise argparse's error."""
        before = getattr(namespace, self.dest)
        if before is not None:
            raise argparse.ArgumentError(self, f"given twice, as {before} and {values}: choose one")
        setattr(namespace, self.dest, values)


def sentence(message: str) -> str:
    """The message in our words; as it is, in one line, where we have none."""
    line = " ".join(message.split())
    for pattern, words in SENTENCES:
        if found := re.fullmatch(pattern, line):
            return found.expand(words)
    return line
