"""What is typed wrong to a benchmark is told in one sentence."""

import importlib
from pathlib import Path

import PIL.Image
import pytest

from benchmarks import machine, photo

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("blend --images 0", "--images: 0 is less than 1"),
        ("training --rounds 0", "--rounds: 0 is less than 1"),
        ("photo photo.jpg --size 0x3", "'0x3' is not WIDTHxHEIGHT, such as 4000x3000"),
        ("photo photo.jpg --size 3000", "'3000' is not WIDTHxHEIGHT, such as 4000x3000"),
        (f"report --read -o {ROOT}/setup.cfg", "setup.cfg: holds no results of this benchmark"),
        ("loader --outptu x.json", "--output"),
    ],
)
def test_a_mistake_is_one_sentence(
    line: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *words = line.split()
    assert importlib.import_module(f"benchmarks.{name}").main(words) == 2
    (sentence,) = capsys.readouterr().err.splitlines()
    assert said in sentence


@pytest.mark.slow
def test_a_failure_of_the_process_that_is_measured_is_told_as_such(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    words = [str(tmp_path / "photo.png"), "--size", "16x8", "-m", str(tmp_path / "absent.onnx")]
    assert photo.main(words) == 2
    reason, told = capfd.readouterr().err.splitlines()
    assert "absent.onnx" in reason
    assert "upscale ended with exit code 2" in told


def test_the_photo_is_as_wide_and_high_as_asked(tmp_path: Path) -> None:
    PIL.Image.new("RGB", (8, 8)).save(tmp_path / "photo.png")
    assert photo.mosaic([tmp_path / "photo.png"], 20, 10).size == (20, 10)


def test_a_processor_without_a_name_is_told_by_its_architecture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _: "processor\t: 0\nCPU implementer\t: 0x41\n")
    monkeypatch.setattr(machine.platform, "processor", lambda: "")
    monkeypatch.setattr(machine.platform, "machine", lambda: "aarch64")
    assert machine.processor() == "aarch64"
