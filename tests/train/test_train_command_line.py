"""`python -m sr_train`: its commands, and what they refuse before any work."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sr_train.__main__ import main
from sr_train.checkpoint import load_generator, save_generator
from sr_train.data.catalogue import DATASETS
from sr_train.models.rrdbnet import RRDBNet
from sr_train.pretrained import WEIGHTS

SMALL = {"rrdb_channels": 4, "growth_channels": 2, "num_basic_blocks": 1}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def in_python(code: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root
    )


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one sentence that these arguments are refused with."""
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert not said.out
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    return said.err


@pytest.mark.parametrize(
    "command", ["", "prepare", "fit", "evaluate", "interpolate", "average", "convert"]
)
def test_help_does_not_wait_for_torch(command: str) -> None:
    code = f"""
import sys
from sr_train.__main__ import main
assert main({[command] if command else []} + ["--help"]) == 0
assert "torch" not in sys.modules
"""
    run = in_python(code)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.startswith(f"usage: python -m sr_train {command}".strip())


def test_help_names_every_data_set_and_weights(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "--help"]) == 0
    words = capsys.readouterr().out.replace("(", " ").replace(",", " ").replace(")", " ").split()
    assert {*DATASETS, *WEIGHTS} <= set(words)


def test_without_pyyaml_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["yaml"] = None
from sr_train.__main__ import main
sys.exit(main(["fit", "--run", "demo"]))
"""
    run = in_python(code)
    assert run.returncode == 2
    assert run.stderr == 'error: yaml is not installed: pip install "sr-toolkit[train]"\n'


def test_print_config_prints_what_would_be_trained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--print_config", "--preset", "tiny", "--seed", "7"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["seed"] == 7
    assert printed["perceptual_loss"]["vgg_type"] == "squeezenet1_1"
    assert not list(Path().iterdir())


def test_a_run_needs_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert "give it one with --run" in refusal(capsys, "fit", "--preset", "tiny")


@pytest.mark.parametrize(("name", "folder"), [("demo", "runs/demo"), ("some/where", "some/where")])
def test_a_run_is_never_overwritten(
    name: str, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    state = Path(folder) / "state.pt"
    state.parent.mkdir(parents=True)
    state.touch()
    said = refusal(capsys, "fit", "--run", name)
    assert f"--resume {Path(folder)}, or choose another name" in said


def test_a_run_that_saved_nothing_cannot_be_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--print_config"]) == 0
    Path("config.yaml").write_text(capsys.readouterr().out)
    assert "start it again with --run ." in refusal(capsys, "fit", "--resume", ".")


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "--run", "demo", "--pretrainin.lr", "1"],
        ["fit", "--run", "demo", "--config", "missing.yaml"],
        ["fit", "--run", "demo", "--batch_size", "0"],
        ["fit", "--resume", "missing"],
        ["fit", "--resume"],
        [],
        ["train"],
        ["evaluate", "a.pth"],
        ["evaluate", "a.pth", "--data", "set5", "--precision", "int8"],
        ["interpolate", "a.pth", "b.pth", "-o", "c.pth", "--alpha", "x"],
        ["convert", "a.pth", "-o"],
        ["convert", "a.pth", "-o", "b.pth", "--more"],
        ["prepare", "no_such_folder"],
        ["evaluate", "missing.pth", "--data", "set5"],
        ["interpolate", "a.pth", "b.pth", "-o", "out.pth"],
        ["average", "a.pth", "-o", "missing/out.pth"],
    ],
)
def test_mistakes_are_one_sentence_and_leave_nothing(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "argument " not in refusal(capsys, *arguments)
    assert not [path for path in Path().rglob("*") if path.is_file()]


@pytest.fixture
def checkpoints() -> list[str]:
    names = ["psnr.safetensors", "gan.safetensors"]
    for name in names:
        save_generator(RRDBNet(**SMALL), name)
    return names


@pytest.mark.parametrize(
    ("command", "share"), [(["interpolate", "--alpha", "0.25"], 0.25), (["average"], 0.5)]
)
def test_weights_are_mixed(
    command: list[str],
    share: float,
    checkpoints: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([*command, *checkpoints, "-o", "mixed.safetensors"]) == 0
    assert "mixed.safetensors: " in capsys.readouterr().out
    psnr, gan, mixed = (
        load_generator(name).conv_first.weight for name in (*checkpoints, "mixed.safetensors")
    )
    assert mixed.allclose((1 - share) * psnr + share * gan, atol=1e-7)


def test_inputs_are_never_overwritten(
    checkpoints: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("interpolate", "average"):
        said = refusal(capsys, command, *checkpoints, "-o", checkpoints[1])
        assert "never overwritten" in said


def test_checkpoints_are_evaluated_on_prepared_data(
    data: Path, checkpoints: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(data / "set5")
    assert main(["prepare", "set5", "--from", source, "--root", "data", "--jobs", "1"]) == 0
    capsys.readouterr()
    options = ["--no-lpips", "--json", "table.json"]
    assert main(["evaluate", checkpoints[0], "--data", "set5", *options]) == 0
    said = capsys.readouterr().out
    assert "5 images" in said
    assert checkpoints[0].removesuffix(".safetensors") in said
    assert json.loads(Path("table.json").read_text())
