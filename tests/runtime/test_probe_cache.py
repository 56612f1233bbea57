"""What a probe found is kept by the model's content, and believed only where it can be."""

from collections.abc import Callable
from pathlib import Path

import pytest

import sr_runtime
from sr_runtime import ModelInfo
from sr_runtime.backends.probe import facts
from tests.runtime.foreign_models import nearest, save


@pytest.fixture
def probes(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One item for each time that a model was measured."""
    found: list[object] = []
    real = facts.find_sizes

    def counted(*arguments: object) -> object:
        found.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(facts, "find_sizes", counted)
    return found


@pytest.fixture
def info(tmp_path: Path) -> Callable[..., ModelInfo]:
    def load(factor: int = 2) -> ModelInfo:
        model = save(tmp_path / f"{factor}.onnx", [nearest("x", "y")]) if factor == 2 else None
        model = model or save(tmp_path / "m.onnx", [nearest("x", "a"), nearest("a", "y")])
        with sr_runtime.load(model, backend="onnxruntime", device="cpu") as upscaler:
            return upscaler.info

    return load


def test_a_model_is_measured_once_and_another_one_by_itself(info, probes) -> None:
    assert info() == info()
    assert len(probes) == 1
    assert info(4).scale == 4
    assert len(probes) == 2


@pytest.mark.parametrize("damage", [b"", b"{}", b"[" * 10**5, b'{"scale": 10000000}', b"\xff"])
def test_a_damaged_entry_is_measured_again(damage: bytes, info, probes, cache: Path) -> None:
    right = info()
    (entry,) = cache.glob("*.facts.json")
    entry.write_bytes(damage)
    assert info() == right
    assert len(probes) == 2
    assert info() == right
    assert len(probes) == 2


def test_a_folder_in_which_anyone_can_write_is_neither_read_nor_written(
    info, probes, cache: Path
) -> None:
    cache.mkdir()
    cache.chmod(0o777)
    info(), info()
    assert len(probes) == 2
    assert not list(cache.iterdir())


def test_a_cache_that_cannot_be_made_is_done_without(
    info, probes, cache: Path, tmp_path: Path
) -> None:
    cache.write_text("a file")
    info(), info()
    assert len(probes) == 2


def test_a_model_that_states_its_facts_is_not_measured(probes) -> None:
    with sr_runtime.load("psnr", backend="onnxruntime", device="cpu") as upscaler:
        assert upscaler.info.measured == ()
    assert not probes
