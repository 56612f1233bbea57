"""`python -m sr_train convert`."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sr_train.__main__ import main
from sr_train.checkpoint import load_generator, weights_sha256
from sr_train.models.rrdbnet import RRDBNet

SMALL = {"rrdb_channels": 4, "growth_channels": 2, "num_basic_blocks": 1}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A ×2 network as old ESRGAN files are: flat, without a scale."""
    path = tmp_path / "old.pth"
    torch.save(RRDBNet(scale_factor=2, **SMALL).state_dict(), path)
    return path


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_convert_writes_the_same_network_and_says_what_it_read(
    suffix: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / f"new{suffix}"
    assert main(["convert", str(checkpoint), "-o", str(output)]) == 0
    original, converted = load_generator(checkpoint), load_generator(output)
    assert converted.architecture == original.architecture
    assert weights_sha256(converted) == weights_sha256(original)
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert all(fact in said for fact in (str(checkpoint), "RRDBNet x2", str(output)))


def test_scale_settles_what_the_tensors_leave_open(checkpoint: Path, tmp_path: Path) -> None:
    output = tmp_path / "x3.safetensors"
    assert main(["convert", str(checkpoint), "-o", str(output), "--scale", "3"]) == 0
    assert load_generator(output).scale_factor == 3
    twice = [str(checkpoint), str(checkpoint), "--scale", "3"]
    for command in ("interpolate", "average"):
        assert main([command, *twice, "-o", str(tmp_path / f"{command}.safetensors")]) == 0
        assert load_generator(tmp_path / f"{command}.safetensors").scale_factor == 3


def test_the_input_is_never_overwritten(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = checkpoint.read_bytes()
    alias = tmp_path / "sub" / ".." / "old.pth"
    alias.parent.parent.mkdir()
    assert main(["convert", str(checkpoint), "-o", str(alias)]) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert checkpoint.read_bytes() == before


@pytest.mark.parametrize("arguments", [["missing.pth", "-o", "x.pth"], ["old.pth", "-o", "x.onnx"]])
def test_errors_are_one_sentence_and_exit_code_2(
    arguments: list[str],
    checkpoint: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(checkpoint.parent)
    assert main(["convert", *arguments]) == 2
    said = capsys.readouterr()
    assert not said.out
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert [path.name for path in checkpoint.parent.iterdir()] == ["old.pth"]


def in_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_help_does_not_wait_for_torch() -> None:
    code = """
import sys
from sr_train.__main__ import main
try:
    main(["convert", "--help"])
finally:
    assert "torch" not in sys.modules
"""
    run = in_python(code)
    assert (run.returncode, run.stderr) == (0, "")
    assert "CHECKPOINT" in run.stdout


@pytest.mark.slow
def test_without_torch_the_extra_is_named() -> None:
    code = """
import sys
sys.modules["torch"] = None
from sr_train.__main__ import main
sys.exit(main(["convert", "a.pth", "-o", "b.pth"]))
"""
    run = in_python(code)
    assert run.returncode == 2
    assert run.stderr == 'error: torch is not installed: pip install "sr-toolkit[export]"\n'
