"""Standard output and error whose readers are gone, whose disk is full, or that are closed."""

import io
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tqdm import tqdm

from sr_runtime.cli.console import run_cli, say

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes and /dev/full")


def without_reader() -> io.TextIOWrapper:
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w")


def on_a_full_disk() -> io.TextIOWrapper:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    return Path("/dev/full").open("w")


def working(done: list[int]) -> Callable[[Sequence[str]], int]:
    """A command that shows a progress bar, prints a line and works to its end."""

    def command(words: Sequence[str]) -> int:
        for number in tqdm(range(3), mininterval=0):
            say("a line")
            done.append(number)
        return 0

    return command


@pytest.mark.parametrize(
    ("broken", "code", "sentence"),
    [(without_reader, 1, ""), (on_a_full_disk, 2, "standard output cannot be written (No space")],
)
def test_lines_that_are_lost_do_not_stop_the_work_and_show_in_the_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    broken: Callable[[], io.TextIOWrapper],
    code: int,
    sentence: str,
) -> None:
    done: list[int] = []
    with broken() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert run_cli(working(done), []) == code
        assert sys.stdout is stream
    assert done == [0, 1, 2]
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("broken", [without_reader, on_a_full_disk])
def test_a_progress_bar_that_is_lost_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    broken: Callable[[], io.TextIOWrapper],
) -> None:
    done: list[int] = []
    with broken() as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        assert run_cli(working(done), []) == 0
    assert done == [0, 1, 2]
    assert capsys.readouterr().out == "a line\n" * 3


def test_a_pipe_that_somebody_made_non_blocking_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    line = "x" * 100_000  # more than a pipe holds
    read: list[bytes] = []

    def read_all() -> None:
        select.select([reading], [], [])
        with os.fdopen(reading, "rb") as source:
            read.append(source.read())

    reader = threading.Thread(target=read_all)
    reader.start()
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert run_cli(lambda _: print(line) or 0, []) == 0  # type: ignore[func-returns-value]
    reader.join()
    assert read == [f"{line}\n".encode()]


def test_a_program_may_catch_what_a_command_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert run_cli(lambda _: say("a line") or 0, []) == 0  # type: ignore[func-returns-value]
    assert sys.stdout.getvalue() == "a line\n"  # type: ignore[attr-defined]


PROGRAM = """
import os, sys
from sr_runtime.cli.console import run_cli, say

def command(words):
    with open(words[0], "w") as file:
        assert file.fileno() > 2
        file.write("content")
        os.write(2, b"what a library prints")
        say("a line")
        file.write(" and more")
    return 0

sys.exit(run_cli(command))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("closed", "code"), [((1,), 2), ((2,), 0), ((0, 1, 2), 2)])
def test_what_is_printed_on_a_closed_stream_lands_in_no_file(
    tmp_path: Path, closed: tuple[int, ...], code: int
) -> None:
    def close() -> None:
        for number in closed:
            os.close(number)

    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, tmp_path / "file"],
        preexec_fn=close,
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == code
    assert (tmp_path / "file").read_text() == "content and more"
    if 2 not in closed:
        assert "error: standard output cannot be written (Bad file descriptor)" in run.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_with_its_code(
    hears_signals: None, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    cleaned_up = []

    def command(words: Sequence[str]) -> int:
        try:
            signal.raise_signal(number)
        finally:
            cleaned_up.append(signal.getsignal(number))
        return 0

    assert run_cli(command, []) == 128 + number
    assert cleaned_up == [signal.SIG_DFL], "a second one ends the process at once"
    assert capsys.readouterr().err == "interrupted\n"


def test_a_signal_that_is_ignored_or_handled_stays_so(hears_signals: None) -> None:
    heard: list[int] = []
    handlers = {signal.SIGHUP: signal.SIG_IGN, signal.SIGTERM: lambda number, _: heard.append(1)}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}

    def command(words: Sequence[str]) -> int:
        for number in handlers:
            signal.raise_signal(number)
        return 0

    try:
        assert run_cli(command, []) == 0
        assert heard == [1]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.slow
def test_ctrl_c_while_the_libraries_are_imported_is_one_sentence() -> None:
    """numpy cannot be imported here: the signal comes at exactly this moment."""
    program = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)

class Finder:
    def find_spec(self, name, path, target=None):
        if name == "numpy":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Finder())
from {package}.__main__ import main
sys.exit(main(["{command}", "x", "-o", "y"]))
"""
    for package, command in (("sr_runtime", "upscale"), ("sr_export", "onnx")):
        run = subprocess.run(
            [sys.executable, "-c", program.format(package=package, command=command)],
            check=False,
            capture_output=True,
            text=True,
        )
        assert (run.returncode, run.stderr) == (130, "interrupted\n")


@pytest.mark.slow
def test_a_signal_inside_an_exec_keeps_its_code(tmp_path: Path) -> None:
    """CPython would end as if the signal were SIGINT and nobody had caught it."""
    (tmp_path / "program.py").write_text(
        "import sys\n"
        "from sr_runtime.cli.console import run_cli\n"
        "sys.exit(run_cli(lambda _: exec('raise KeyboardInterrupt(15)'), []))\n"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    command = [sys.executable, "-m", "program"]
    assert (
        subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=False).returncode
        == 143
    )
