"""A shell completes the programs' commands, options and files, by the script that they print."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sr_export.__main__ import main as sr_export
from sr_runtime.__main__ import main as sr_upscale
from sr_train.__main__ import main as sr_train

PROGRAMS = {"sr-upscale": sr_upscale, "sr-export": sr_export, "sr-train": sr_train}

COMPLETE = """
source "$1"
shift
complete -p "$1" > /dev/null || exit 1
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
function=$(complete -p "$1" | sed 's/.*-F \\([^ ]*\\).*/\\1/')
"$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(
    program: str, shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    monkeypatch.setattr(sys, "argv", [program])
    assert PROGRAMS[program](["--print-completion", shell]) == 0
    return capsys.readouterr().out


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["sr-upscale", "up"], "upscale"),
        (["sr-upscale", "upscale", "--tile"], "--tileable"),
        (["sr-upscale", "upscale", "--tileable", "x"], "xy"),
        (["sr-upscale", "upscale", "pho"], "photo.jpg"),
        (["sr-export", "onnx", "--prec"], "--precision"),
        (["sr-train", "ev"], "evaluate"),
    ],
)
def test_bash_completes(
    words: list[str],
    completed: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "photo.jpg").touch()
    file = tmp_path / "completion"
    file.write_text(script(words[0], "bash", monkeypatch, capsys))
    done = subprocess.run(
        ["bash", "-c", COMPLETE, "bash", str(file), *words],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert completed in [line.strip() for line in done.stdout.splitlines()]


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_get_a_script_too(
    program: str,
    shell: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert program in script(program, shell, monkeypatch, capsys)


@pytest.mark.parametrize("main", [sr_upscale, sr_export, sr_train])
def test_a_module_has_no_completion(
    main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--print-completion", "bash"]) == 2
    assert "sr-upscale" in capsys.readouterr().err
