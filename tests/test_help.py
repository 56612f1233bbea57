"""Every --help: what a command needs, its options with their defaults, and examples to copy."""

import argparse
import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from sr_export.__main__ import main as sr_export
from sr_export.commands import parser as export_parser
from sr_runtime import __version__
from sr_runtime.__main__ import main as sr_runtime
from sr_runtime.cli.commands import parser as runtime_parser
from sr_runtime.cli.parser import Parser
from sr_runtime.distributed.__main__ import main as distributed
from sr_runtime.distributed.commands import parser as distributed_parser
from sr_runtime.examples.before_after.__main__ import main as before_after
from sr_runtime.examples.before_after.__main__ import parser as before_after_parser
from sr_train.__main__ import main as sr_train
from sr_train.commands import parser as train_parser
from tests.docs import shell

Main = Callable[[Sequence[str]], int]

ROOT = Path(__file__).parents[1]
BENCHMARKS = [
    importlib.import_module(".".join(file.relative_to(ROOT).with_suffix("").parts))
    for file in sorted((ROOT / "benchmarks").rglob("*.py"))
    if 'if __name__ == "__main__"' in file.read_text("utf-8")
]

PROGRAMS: list[tuple[Main, Parser]] = [
    (sr_runtime, runtime_parser()),
    (distributed, distributed_parser()),
    (sr_export, export_parser()),
    (sr_train, train_parser()),
    (before_after, before_after_parser()),
    *((benchmark.main, benchmark.parser()) for benchmark in BENCHMARKS),
]


def commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of a program's commands, by their names."""
    found = [a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(*found)


# Each command, and each program itself, as `main`, its words and the beginning of its usage.
HELPS = [
    pytest.param(main, words, " ".join([parser.prog, *words]), id=" ".join([parser.prog, *words]))
    for main, parser in PROGRAMS
    for words in [[], *([name] for name in commands(parser))]
]


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.argv", ["/somewhere/__main__.py"])


@pytest.mark.parametrize(("main", "words", "typed"), HELPS)
def test_a_help_fits_80_columns_and_has_examples_as_they_are_typed(
    main: Main, words: list[str], typed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--help"]) == 0
    said = capsys.readouterr().out
    assert [line for line in said.split("\n") if len(line) > 80] == []
    assert said.startswith(f"usage: {typed} ")
    first = said.split("\nexamples:\n")[1].split("\n")[0]
    assert first.startswith(f"  {typed}")


@pytest.mark.parametrize(("main", "words", "typed"), HELPS)
def test_every_command_tells_the_version(
    main: Main, words: list[str], typed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize(
    "example",
    [
        line.strip()
        for _, program in PROGRAMS
        for parser in (program, *commands(program).values())
        for line in str(parser.epilog).splitlines()
        if line.startswith(f"  {program.prog}")
    ],
)
def test_an_example_can_be_typed_as_it_stands(example: str) -> None:
    shell.parse(example)


def test_every_benchmark_is_in_the_docs() -> None:
    page = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    for benchmark in BENCHMARKS:
        assert f"`{benchmark.parser().prog}" in page


def described() -> Iterator[tuple[argparse.ArgumentParser, argparse.Action]]:
    for _, program in PROGRAMS:
        for parser in (program, *commands(program).values()):
            for action in parser._actions:
                if not isinstance(action, argparse._SubParsersAction):
                    yield parser, action


@pytest.mark.parametrize(
    ("parser", "argument"),
    [pytest.param(*each, id=f"{each[0].prog} {each[1].dest}") for each in described()],
)
def test_every_argument_is_explained_and_its_default_is_shown(
    parser: argparse.ArgumentParser, argument: argparse.Action
) -> None:
    assert argument.help
    shown = parser._get_formatter()._expand_help(argument)
    if argument.nargs != 0 and argument.default not in (None, argparse.SUPPRESS):
        assert f"default: {argument.default}" in shown


def test_the_usage_names_what_a_command_needs(capsys: pytest.CaptureFixture[str]) -> None:
    sr_export(["onnx", "--help"])
    usage = "usage: python -m sr_export onnx CHECKPOINT -o MODEL.onnx [options]\n"
    assert capsys.readouterr().out.startswith(usage)
    sr_runtime(["--help"])
    assert capsys.readouterr().out.startswith("usage: python -m sr_runtime [options] COMMAND ...\n")


def test_options_are_in_groups_of_which_the_general_ones_are_the_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sr_runtime(["upscale", "--help"])
    lines = capsys.readouterr().out.split("\n")
    assert [line for line in lines if line.endswith(":") and not line.startswith(" ")] == [
        "what to read:",
        "what to write:",
        "how large:",
        "for videos:",
        "which model:",
        "how to run:",
        "general:",
        "examples:",
    ]
