"""The lines of `info`: wrapped on a terminal, whole everywhere else."""

import io
from contextlib import redirect_stdout

import pytest

from sr_runtime.cli.rows import say_rows

ADVICE = "does not work here: there is no driver: install the one for your GPU, then start again"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [20, 44, 200])
def test_a_terminal_gets_lines_that_fit_beside_their_label(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    with redirect_stdout(Terminal()) as said:
        say_rows([("openvino", ADVICE)])
    first, *others = said.getvalue().splitlines()
    assert first.startswith("openvino          does")
    assert all(line.startswith(" " * 18) for line in others)
    assert max(map(len, [first, *others])) <= max(columns, 36)
    assert " ".join(line[18:] for line in [first, *others]) == ADVICE


def test_a_pipe_gets_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    say_rows([("openvino", ADVICE), ("", ""), ("A heading:", "")])
    assert capsys.readouterr().out == f"openvino          {ADVICE}\n\nA heading:\n"


def test_a_name_cannot_forge_a_line_of_a_terminal() -> None:
    with redirect_stdout(Terminal()) as said:
        say_rows([("file", "x\nruns here on      yes")])
    assert said.getvalue().count("\n") == 1
    assert r"x\nruns" in said.getvalue()
