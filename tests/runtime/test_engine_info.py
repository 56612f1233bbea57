"""What `info` says about engines, where they run and where they do not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sr_runtime.__main__ import main
from sr_runtime.backends.tensorrt.engine_file import facts_path
from tests.runtime.tiny_engine import engine_file
from tests.simulated_tensorrt import simulated


def said_of(engine: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What `info` prints after the table of backends."""
    assert main(["info", str(engine)]) == 0
    return capsys.readouterr().out.partition(f"file              {engine}")[2]


@pytest.fixture
def engine(tiny_onnx: Callable[..., Path], tmp_path: Path) -> Path:
    """Built for cards of compute capability 8.6 and 8.9."""
    with simulated(None, rtx=True):
        return engine_file(
            tiny_onnx(precision="fp16"), tmp_path, compute_capabilities=("8.6", "8.9")
        )


def test_an_engine_is_described_where_it_runs(
    engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with simulated(None, rtx=True) as machine:
        said = said_of(engine, capsys)
        assert machine.gpu.is_clean
    assert f"built by          TensorRT for RTX {machine.rtx.version}" in said
    assert "8.6 (GeForce RTX 30" in said
    assert "8.9 (GeForce RTX 40" in said
    assert "1x16x16 to 4x96x96" in said
    assert "runs here on      cuda:0 in fp16 (backend tensorrt-rtx)" in said
    assert "tiles here        at most 96×96" in said


def test_an_engine_is_described_without_a_gpu_or_its_library_and_with_the_reason(
    engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with simulated(None, driver=False, rtx=True):
        said = said_of(engine, capsys)
    assert "8.6 (GeForce RTX 30" in said
    assert "enlarges          4 times" in said
    assert "runs here on      nothing: " in said
    assert "there is no NVIDIA driver" in said
    with simulated(None):
        assert 'pip install "sr-toolkit[rtx]"' in said_of(engine, capsys)


def test_an_engine_for_other_cards_says_so_with_the_command_that_builds_it_here(
    engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with simulated(None, rtx=True) as machine:
        machine.gpu.name, machine.gpu.compute_capability = "RTX 5090", (12, 0)
        said = said_of(engine, capsys)
    assert "runs here on      nothing: " in said
    assert "L4 (8.9), and this is RTX 5090 (12.0)" in said
    assert "--for rtx --sm 120" in said


@pytest.mark.parametrize(
    ("options", "gpus", "version"),
    [
        ({}, "Simulated GPU only", "no other version"),
        ({"hardware_compatible": "same"}, "of compute capability 9.0", "no other version"),
        ({"hardware_compatible": "ampere+"}, "8.0 and above", "no other version"),
        ({"version_compatible": True}, "Simulated GPU only", "or another version of it"),
    ],
)
def test_the_gpus_of_a_tensorrt_engine_are_named(
    options: dict[str, object],
    gpus: str,
    version: str,
    tiny_onnx: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with simulated():
        engine = engine_file(tiny_onnx(precision="fp16"), tmp_path, **options)
    with simulated(driver=False):
        said = said_of(engine, capsys)
    assert gpus in said
    assert version in said


def test_an_engine_without_its_facts_is_an_error(
    engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts_path(engine).unlink()
    assert main(["info", str(engine)]) == 2
    assert "tiny.engine.json, are not beside it" in capsys.readouterr().err


def test_a_plan_that_is_not_the_one_of_its_facts_is_an_error(
    engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.write_bytes(engine.read_bytes()[:-1])
    assert main(["info", str(engine)]) == 2
    assert "the plan is damaged, or not the one that tiny.engine.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fact", "damaged"),
    [
        ('"level": 3', '"level": 1e400'),
        ('"level": 3', f'"level": {"[" * 100_000}'),
        ('"compute_capabilities": [', '"compute_capabilities": [8.0,'),
        ('"kind": "tensorrt-rtx"', '"kind": "rtx"'),
    ],
)
def test_damaged_facts_are_one_sentence(
    fact: str, damaged: str, engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = facts_path(engine)
    text = facts.read_text()
    assert fact in text
    facts.write_text(text.replace(fact, damaged))
    assert main(["info", str(engine)]) == 2
    assert "tiny.engine.json: damaged, or not the facts of an engine" in capsys.readouterr().err


def test_facts_that_would_forge_a_line_are_shown_as_they_are(
    engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = facts_path(engine)
    forged = '"arch": "RRDBNet\\nruns here on      yes\\u001b[2J"'
    facts.write_text(facts.read_text().replace('"arch": "RRDBNet"', forged))
    said = said_of(engine, capsys)
    assert r"RRDBNet\nruns here on      yes\x1b[2J" in said
    assert "\x1b" not in said
