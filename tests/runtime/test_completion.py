"""Shells complete the programs' commands, options, names and files, by scripts that they print."""

import contextlib
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from sr_export.__main__ import main as sr_export
from sr_runtime.__main__ import main as sr_upscale
from sr_runtime.embedded import EMBEDDED
from sr_train.__main__ import main as sr_train
from sr_train.config.names import FIELDS, OPTIONS, PRESET_NAMES

PROGRAMS = {"sr-upscale": sr_upscale, "sr-export": sr_export, "sr-train": sr_train}

FISH = "source $argv[1]; complete -C $argv[2]"

# A terminal in which zsh lists what it would add to the line.
ZSH = """
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z 'autoload -Uz compinit; compinit -u -D; eval "$(< '$1')"'
zpty -w z 'compadd() {
  [[ ${@[1,(i)(-|--)]} == *-[OAD]* ]] || { local -a hits; builtin compadd -A hits "$@"
    print -rl -- HIT:$^hits:; }
  builtin compadd "$@"
}'
zpty -w z 'all() { compstate[list]=; _main_complete; print LI""STED }'
zpty -w z 'zle -C all list-choices all; bindkey "^T" all; print REA""DY'
while zpty -r z line && [[ $line != *READY* ]] do done
zpty -w -n z "$2"$'\\x14'
while zpty -r z line && [[ $line != *LISTED* ]] do print -r -- $line; done
"""

BASH = """
source "$1"
shift
complete -p "$1" > /dev/null || exit 1
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
function=$(complete -p "$1" | sed 's/.*-F \\([^ ]*\\).*/\\1/')
"$function" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def script(program: str, shell: str, models: str = "") -> str:
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr("sys.argv", [program])
        patch.setenv("SR_MODELS", models)
        assert PROGRAMS[program](["--print-completion", shell]) == 0
    return printed.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a few files, and with the scripts for bash in a folder of its own."""
    made = tmp_path_factory.mktemp("completion")
    for name in ("photo.jpg", "esthetic.onnx"):
        (made / name).touch()
    (made / ".models").mkdir()
    for name in ("2x_Photo_v1.2", "a photo"):  # a shell would have to quote the second
        (made / ".models" / f"{name}.onnx").touch()
    (made / ".scripts").mkdir()
    for program in PROGRAMS:
        (made / ".scripts" / program).write_text(script(program, "bash", str(made / ".models")))
    return made


FILES = {"photo.jpg", "esthetic.onnx", ".scripts", ".models"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("sr-upscale up", {"upscale"}),
        ("sr-upscale upscale --ti", {"--tile", "--tileable"}),
        ("sr-upscale upscale --tileable ", {"x", "y", "xy"}),
        ("sr-upscale upscale pho", {"photo.jpg"}),
        ("sr-upscale upscale photo.jpg -m es", {"esrgan", "esthetic.onnx"}),
        ("sr-upscale info ", {*EMBEDDED, "2x_Photo_v1.2", *FILES}),
        ("sr-export triton 2", {"2x_Photo_v1.2"}),
        ("sr-train evaluate 2", {"2x_Photo_v1.2"}),
        ("sr-upscale info --backend o", {"openvino", "onnxruntime"}),
        ("sr-upscale upscale photo.jpg --halo ", {"auto", "exact"}),
        ("sr-export onnx --prec", {"--precision"}),
        ("sr-export verify --backend ", {"auto", "openvino", "onnxruntime"}),
        ("sr-train ev", {"evaluate"}),
        ("sr-train prepare s", {"set5", "set14", "squeezenet1_1"}),
        ("sr-train evaluate esrgan --data set", {"set5", "set14"}),
        ("sr-train fit --pres", {"--preset"}),
        ("sr-train fit --preset ", {*PRESET_NAMES}),
        ("sr-train fit --generator.u", {"--generator.use_subpixel_conv"}),
        ("sr-train fit --generator.use_subpixel_conv ", {"true", "false"}),
        ("sr-train fit --discriminator.type ", {"vgg", "unet"}),
        ("sr-train fit --init e", {"esrgan", "esthetic.onnx"}),
        ("sr-train fit --config p", {"photo.jpg"}),
    ],
)
def test_bash_completes(words: str, completed: set[str], folder: Path) -> None:
    program = words.partition(" ")[0]
    done = subprocess.run(
        ["bash", "-c", BASH, "bash", f".scripts/{program}", *words.split(" ")],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert {line.strip() for line in done.stdout.splitlines()} == completed


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["fish", "zsh"])
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("sr-upscale upscale photo.jpg -m es", {"esrgan", "esthetic.onnx"}),
        ("sr-upscale upscale esthetic.onnx pho", {"photo.jpg"}),
        ("sr-export verify --backend=o", {"openvino", "onnxruntime"}),
        ("sr-train prepare set5 s", {"set5", "set14", "squeezenet1_1"}),
        ("sr-train fit --generator.use_subpixel_conv ", {"true", "false"}),
    ],
)
def test_other_shells_complete(
    shell: str, words: str, completed: set[str], folder: Path, tmp_path: Path
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell}")
    program = words.partition(" ")[0]
    (tmp_path / program).write_text(script(program, shell, str(folder / ".models")))
    command = {"fish": ["fish", "--no-config", "-c", FISH], "zsh": ["zsh", "-f", "-c", ZSH, "zsh"]}
    done = subprocess.run(
        [*command[shell], str(tmp_path / program), words],
        cwd=folder, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    if shell == "zsh":
        found = set(re.findall(r"HIT:(.*?):", done.stdout))
    else:
        lines = (line.partition("\t")[0] for line in done.stdout.splitlines())
        found = {line.removeprefix("--backend=") for line in lines}
    assert found == completed


@pytest.mark.parametrize("shell", ["zsh", "fish", "tcsh"])
def test_every_shell_gets_the_fields_of_fit(shell: str) -> None:
    printed = script("sr-train", shell)
    assert [name for name in (*OPTIONS, *FIELDS) if name not in printed] == []


@pytest.mark.parametrize("main", PROGRAMS.values())
def test_a_module_has_no_completion(
    main: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--print-completion", "bash"]) == 2
    assert "sr-upscale" in capsys.readouterr().err
