"""Lines of a shell: those of this project's programs run in this process, others in bash."""

import configparser
import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sr_export import commands as export_commands
from sr_export.__main__ import main as sr_export
from sr_runtime.__main__ import main as sr_runtime
from sr_runtime.cli import commands as runtime_commands
from sr_runtime.distributed import commands as distributed_commands
from sr_runtime.distributed.__main__ import main as sr_distributed
from sr_runtime.examples.before_after import __main__ as before_after
from sr_train import commands as train_commands
from sr_train.__main__ import main as sr_train
from sr_train.config.file import fit_arguments
from tests.docs.markdown import ROOT

__all__ = ["commands", "parse", "run"]

Words = Sequence[str]


def _parse_training(words: Words) -> object:
    if words[0] == "fit":  # its options are the fields of the configuration
        return fit_arguments(words[1:])
    return train_commands.parser().parse_args(words)


PROGRAMS: dict[str, tuple[Callable[[Words], int], Callable[[Words], object]]] = {
    "sr_runtime": (sr_runtime, lambda words: runtime_commands.parser().parse_args(words)),
    "sr_runtime.distributed": (
        sr_distributed,
        lambda words: distributed_commands.parser().parse_args(words),
    ),
    "sr_export": (sr_export, lambda words: export_commands.parser().parse_args(words)),
    "sr_train": (sr_train, _parse_training),
    "sr_runtime.examples.before_after": (
        before_after.main,
        lambda words: before_after.parser().parse_args(words),
    ),
}
"""What runs the words of a command line, and what only reads them."""

SCRIPTS = {"sr-upscale": "sr_runtime", "sr-export": "sr_export", "sr-train": "sr_train"}
STARTERS = ("python", "python3", "torchrun")
OPERATORS = "|<>&;()"


def commands(text: str) -> Iterator[str]:
    """The command lines of a block, without comments and empty lines."""
    for line in text.replace("\\\n", " ").splitlines():
        if shlex.split(line, comments=True):
            yield line


def run(line: str) -> None:
    """Run a line, or raise. What would install something is looked up and not done."""
    words = shlex.split(line, comments=True)
    if _is_known(words):
        parse(line)  # of `pip install … && python -m …`, too
        return
    program, arguments = _program(words)
    unquoted = re.sub(r"'[^']*'|\"[^\"]*\"|#.*", "", line)
    if program in PROGRAMS and not re.search(r"[|<>&;$*?]", unquoted):
        main, _ = PROGRAMS[program]
        code = main(arguments)
        assert code == 0, f"{line}: exit code {code}"
        return
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
    subprocess.run(["bash", "-euo", "pipefail", "-c", line], check=True, env=environment)


def parse(line: str) -> None:
    """Read a line that cannot run here with the programs' own parsers; raise what they do."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=OPERATORS)
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if word and set(word) <= set(OPERATORS):
            _parse_command(command)
            command = []
        else:
            command.append(word)


def _parse_command(words: Words) -> None:
    if _is_known(words):
        return
    program, arguments = _program(words)
    if program in PROGRAMS:
        _, parser = PROGRAMS[program]
        try:
            parser(arguments)
        except SystemExit as end:
            if end.code:  # not --help or --version
                raise
    elif program:
        found = importlib.util.find_spec(program)
        assert found, f"there is no module {program}"
        if program.startswith("benchmarks."):
            place = f"{program}.__main__" if found.submodule_search_locations else program
            importlib.import_module(place).parser().parse_args(arguments)


def _program(words: Words) -> tuple[str, Words]:
    """The module that a command starts, and its arguments; "" for other programs."""
    start = next((n for n, word in enumerate(words) if "=" not in word), len(words))
    first, rest = Path(*words[start : start + 1]).name, words[start + 1 :]
    if first in SCRIPTS:
        return SCRIPTS[first], rest
    if first == "docker" and rest[0] == "run":
        image = next((n for n, word in enumerate(rest) if word.startswith("sr-toolkit")), None)
        return ("", ()) if image is None else ("sr_runtime", rest[image + 1 :])
    if first in STARTERS and "-m" in rest:
        place = rest.index("-m") + 1
        place += rest[place] == "--"  # torchrun reads options behind the module's name otherwise
        return rest[place], rest[place + 1 :]
    return "", ()


def _is_known(words: Words) -> bool:
    """Whether the command installs or makes something, whose names exist in this repository."""
    words = words[2:] if words[:2] == ["python", "-m"] else words
    if words[:2] == ["pip", "install"]:
        config = configparser.ConfigParser()
        config.read(ROOT / "setup.cfg")
        for extras in re.findall(r"(?:sr-toolkit|\.)\[([\w,-]+)\]", " ".join(words)):
            unknown = set(extras.split(",")) - set(config["options.extras_require"])
            assert not unknown, f"setup.cfg has no extra {unknown}"
        return True
    if words[:1] == ["make"]:
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        unknown = {word for word in words[1:] if "=" not in word} - set(targets)
        assert not unknown, f"the Makefile has no target {unknown}"
        return True
    return False
