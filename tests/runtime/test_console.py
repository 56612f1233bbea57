"""How every command ends: an exit code, one sentence, and no name that forges a line."""

import errno
import io
import sys
import warnings
from collections.abc import Callable, Sequence

import pytest

from sr_export.__main__ import main as sr_export
from sr_runtime import ModelError, OutOfMemoryError
from sr_runtime.__main__ import main as sr_runtime
from sr_runtime.cli.console import BUG, run_cli, say
from sr_runtime.printable import printable
from sr_train.__main__ import main as sr_train

PROGRAMS = {"sr_runtime": sr_runtime, "sr_export": sr_export, "sr_train": sr_train}


def raising(error: BaseException) -> Callable[[Sequence[str]], int]:
    def command(words: Sequence[str]) -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError("Unable to allocate 3 GiB"), "not enough memory (Unable to allocate 3 GiB)"),
        (MemoryError(), "not enough memory: close other programs"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "not enough memory"),
        (OutOfMemoryError("not enough memory for 8 crops: use 4"), "for 8 crops: use 4"),
        (OSError(errno.ENOSPC, "No space left", "out.bin"), "out.bin: No space left"),
        (OSError("two\nlines"), "two lines"),
        (ModelError("the engine says\n  no", path="x.onnx"), "x.onnx: the engine says no"),
        (UnicodeEncodeError("utf-8", "a\ud800", 1, 2, "no"), r"'a\ud800' cannot be written"),
        (ModuleNotFoundError("No module named 'PIL'", name="PIL"), 'pip install ".[cpu]"'),
    ],
)
def test_what_ends_any_command_is_one_sentence_with_its_own_advice(error, says, capsys) -> None:
    assert run_cli(raising(error), []) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert says in said
    assert "image" not in said  # training and export run without one
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "error",
    [
        KeyError("scale"),
        RecursionError("too deep"),
        AssertionError(),
        ValueError("1\n2"),
        ModuleNotFoundError("No module named 'sr_runtime.x'", name="sr_runtime.x"),
    ],
)
def test_a_bug_is_one_sentence_that_says_how_to_report_it(error, capsys) -> None:
    assert run_cli(raising(error), []) == BUG
    said = capsys.readouterr().err
    assert said.startswith(f"error: {type(error).__name__} at test_console.py:")
    assert "report it" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("words", [["--debug", "info"], ["info", "--debug"]])
def test_debug_shows_the_traceback_and_then_the_sentence(words, capsys) -> None:
    seen = []

    def command(rest: Sequence[str]) -> int:
        seen.extend(rest)
        raise ModelError("damaged \x1b[2J")

    assert run_cli(command, words) == 2
    first, *_, last = capsys.readouterr().err.splitlines()
    assert (first, last) == ("Traceback (most recent call last):", r"error: damaged \x1b[2J")
    assert seen == ["info"]


def test_debug_can_come_from_the_environment_and_is_a_name_after_two_dashes(
    monkeypatch, capsys
) -> None:
    seen = []
    assert run_cli(lambda words: seen.append(list(words)) or 0, ["--", "--debug"]) == 0
    assert seen == [["--", "--debug"]]
    monkeypatch.setenv("SR_DEBUG", "1")
    run_cli(raising(ModelError("damaged")), [])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nerror: b\r.png", r"a\nerror: b\r.png"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2028\x85\x9b", r"\u2028\x85\x9b"),
        ("caf\udce9.png", r"caf\xe9.png"),
        ("Größe 写真 👩\u200d🚀 a\u3000b.png", "Größe 写真 👩\u200d🚀 a\u3000b.png"),
    ],
)
def test_names_reach_a_terminal_as_one_line_that_moves_nothing(name, shown, capsys) -> None:
    assert printable(name) == shown
    assert printable(shown) == shown
    say(name)
    assert capsys.readouterr().out == f"{shown}\n"
    run_cli(raising(ModelError("damaged", path=name)), [])
    assert capsys.readouterr().err == f"error: {shown}: damaged\n"
    run_cli(lambda _: warnings.warn(name, stacklevel=1) or 0, [])
    assert capsys.readouterr().err == f"warning: {shown}\n"


def test_a_console_that_knows_ascii_alone_shows_every_name(monkeypatch) -> None:
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stderr", console)
    assert run_cli(raising(ModelError("damaged", path="写\udcff.png")), []) == 2
    assert console.buffer.getvalue() == b"error: \\u5199\\xff.png: damaged\n"


@pytest.mark.parametrize(
    ("program", "words", "says"),
    [
        ("sr_runtime", [], "a command is missing, one of upscale, info"),
        ("sr_runtime", ["a.png"], "write `python -m sr_runtime upscale a.png …`"),
        (
            "sr_runtime",
            ["-m", "psnr", "upscale", "a.png"],
            "write `python -m sr_runtime upscale -m",
        ),
        ("sr_runtime", ["upscale"], "INPUT is missing; `"),
        ("sr_runtime", ["info", "psnr", "esrgan"], "'esrgan' is one word too many"),
        (
            "sr_runtime",
            ["upscale", "a.png", "-model", "psnr"],
            "one dash and needs two: write --model",
        ),
        ("sr_runtime", ["upscale", "a.png", "scale=2"], "no dashes: write --scale=2"),
        (
            "sr_runtime",
            ["upscale", "a.png", "-q", "b.png"],
            "'b.png' stands apart: write each INPUT",
        ),
        ("sr_runtime", ["upscal"], "did you mean upscale?"),
        ("sr_runtime", ["upscale", "a.png", "--tilee=3"], "did you mean --tile?"),
        ("sr_runtime", ["upscale", "a.png", "-o"], "-o/--output: a value is missing"),
        ("sr_runtime", ["upscale", "a.png", "—scale", "2"], "a long dash: write --scale"),
        ("sr_runtime", ["upscale", "a.png", "–m", "psnr"], "a long dash: write -m"),
        ("sr_runtime", ["upscale", "a.png", "--tta", "8"], "--tta takes no value: leave out '8'"),
        ("sr_runtime", ["upscale", "a.png", "--tta=8"], "takes no value: leave out '8'"),
        ("sr_runtime", ["upscale", "a.png", "--format", "PNG"], "did you mean png?"),
        ("sr_runtime", ["upscale", "a.png", "-t", "big"], "'big' is not a whole number, nor auto"),
        ("sr_runtime", ["upscale", "a", "--width=9", "--height=9"], "with --width: leave one of"),
        ("sr_export", ["trition"], "did you mean triton?"),
        ("sr_export", ["onnx", "a.pth", "-o", "b.onnx", "--opsets", "3"], "did you mean --opset?"),
        ("sr_export", ["onnx", "a.pth", "-o", "b.onnx", "--precision", "fp17"], "mean fp16?"),
        (
            "sr_export",
            ["onnx", "a.pth", "b.onnx"],
            "-o MODEL.onnx is missing: did you mean -o b.onnx?",
        ),
        ("sr_export", ["onnx", "a.pth", "--ouput", "b.onnx"], "did you mean --output?"),
        ("sr_export", ["onnx"], "CHECKPOINT and -o MODEL.onnx are missing"),
        ("sr_train", ["--preset", "tiny", "fit"], "write `python -m sr_train fit --preset …`"),
        (
            "sr_train",
            ["evaluate", "--data", "set5", "a.pth"],
            "write it before --data, which takes",
        ),
        ("sr_train", ["evaluate", "a.pth", "set5"], "--data DATA is missing"),
        ("sr_train", ["prepares"], "did you mean prepare?"),
        ("sr_train", ["prepare", "set5", "--jobss", "3"], "did you mean --jobs?"),
        ("sr_train", ["prepare", "set5", "--jobs", "9" * 5000], "is not a whole number"),
    ],
)
def test_a_wrong_option_or_command_is_one_sentence_that_names_the_nearest(
    program, words, says, capsys
) -> None:
    assert PROGRAMS[program](words) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert says in said
    assert f"`python -m {program}" in said
    assert "--help` lists" in said
    assert len(said) < 400


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("sr_train", ["convert", "no.pth", "-o", "a.pth"]),
        ("sr_export", ["verify", "no.pth", "psnr"]),
    ],
)
def test_a_terminal_alone_is_told_of_the_seconds_in_which_libraries_load(
    program, words, terminal, monkeypatch
) -> None:
    monkeypatch.setattr(sys, "stderr", shown := io.StringIO())
    monkeypatch.setattr(shown, "isatty", lambda: terminal)
    assert PROGRAMS[program](words) == 2
    first = "loading libraries …\n" if terminal else ""
    assert shown.getvalue().startswith(f"{first}error: no.pth: ")


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_and_version_work_in_every_program_under_the_name_that_was_typed(
    program, capsys, monkeypatch
) -> None:
    script = {"sr_runtime": "sr-upscale"}.get(program, program.replace("_", "-"))
    for typed, name in (
        (f"/env/bin/{script}", script),
        (f"C:\\Scripts\\{script}.exe".replace("\\", "/"), script),
        (f"/x/{program}/__main__.py", f"python -m {program}"),
    ):
        monkeypatch.setattr(sys, "argv", [typed])
        assert PROGRAMS[program](["--help"]) == 0
        said = capsys.readouterr().out
        assert said.startswith(f"usage: {name} ")
        assert "--debug" in said
    assert PROGRAMS[program](["--version"]) == 0
    assert capsys.readouterr().out.count(".") == 2
