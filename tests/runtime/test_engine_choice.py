"""Which library opens an engine, and what is said where that is missing or the card unsuited."""

import sys
from pathlib import Path
from typing import get_args

import pytest

from sr_runtime import ArgumentError, BackendError, ModelError
from sr_runtime.backends.choice import choose
from sr_runtime.backends.registry import BACKENDS
from sr_runtime.backends.tensorrt.engine_file import EngineInfo, facts_path, write_engine
from sr_runtime.backends.tensorrt.options import Kind
from sr_runtime.model_info import ModelInfo
from tests.simulated_tensorrt import simulated


def engine_of(kind: Kind, path: Path) -> Path:
    """An engine whose facts are all that is read of it."""
    model = ModelInfo(
        arch="RRDBNet", scale=4, in_channels=3, out_channels=3, io="uint8", weights_dtype="float16"
    )
    info = EngineInfo(
        kind=kind, model=model, tensorrt="1.0", onnx_sha256="0" * 64, plan_sha256="0" * 64
    )
    write_engine(path, b"a plan", info)
    return path


def test_an_engine_is_recognised_before_anything_is_opened(tmp_path: Path) -> None:
    for kind in get_args(Kind):
        engine = engine_of(kind, tmp_path / "photos.engine")
        with pytest.raises(ArgumentError, match=rf"{kind} engine.*openvino.* ONNX file") as raised:
            choose("openvino", "auto", engine)
        assert raised.value.path == engine
        with (
            simulated(driver=False, rtx=True),
            pytest.raises(BackendError, match=f"{kind} engine.* no NVIDIA driver.*ONNX file"),
        ):
            choose("auto", "auto", engine)


def test_an_engine_is_opened_by_the_library_that_built_it(tmp_path: Path) -> None:
    for_rtx = engine_of("tensorrt-rtx", tmp_path / "rtx.engine")
    plain = engine_of("tensorrt", tmp_path / "plain.engine")
    with simulated(rtx=True):  # both are installed
        assert choose("auto", "auto", for_rtx) == ("tensorrt-rtx", "cuda:0")
        assert choose("auto", "auto", plain) == ("tensorrt", "cuda:0")
        for wrong, engine in (("tensorrt", for_rtx), ("tensorrt-rtx", plain)):
            with pytest.raises(ArgumentError, match=f"backend {wrong} does not run: leave"):
                choose(wrong, "auto", engine)
    with simulated(), pytest.raises(BackendError, match=r'pip install "sr-toolkit\[rtx\]"'):
        choose("auto", "auto", for_rtx)
    with (
        simulated(None, rtx=True),
        pytest.raises(BackendError, match=r'pip install "sr-toolkit\[tensorrt\]"'),
    ):
        choose("auto", "auto", plain)


def test_an_engine_without_its_facts_is_refused_before_any_library_is_needed(
    tmp_path: Path,
) -> None:
    engine = engine_of("tensorrt", tmp_path / "photos.engine")
    facts_path(engine).unlink()
    with pytest.raises(ModelError, match=r"photos\.engine\.json, are not beside it"):
        choose("auto", "auto", engine)
    with pytest.raises(ModelError, match="there is no such engine"):
        choose("auto", "auto", tmp_path / "other.engine")


@pytest.mark.parametrize("capability", [(9, 0), (10, 0), (7, 0)])
def test_a_card_that_tensorrt_for_rtx_does_not_run_on_is_told_what_to_use(capability) -> None:
    with simulated(rtx=True) as machine:
        machine.gpu.name, machine.gpu.compute_capability = "Big GPU", capability
        with pytest.raises(BackendError) as raised:
            choose("tensorrt-rtx", "auto")
    said = str(raised.value)
    assert "Big GPU ({}.{})".format(*capability) in said
    assert all(extra in said for extra in ("sr-toolkit[tensorrt]", "sr-toolkit[gpu]"))


def test_a_driver_too_old_for_tensorrt_for_rtx_is_named() -> None:
    with simulated(rtx=True) as machine:
        machine.cuda = 11080
        with pytest.raises(BackendError, match=r"knows CUDA 11\.8, and tensorrt_rtx needs CUDA 1"):
            choose("tensorrt-rtx", "auto")


def test_where_nothing_is_installed_only_the_extra_for_every_computer_is_named(
    monkeypatch,
) -> None:
    for row in BACKENDS:
        monkeypatch.setitem(sys.modules, row.opens.partition(":")[0], None)
    with pytest.raises(BackendError, match=r"pip install .sr-toolkit\[cpu\]") as raised:
        choose("auto", "auto")
    assert str(raised.value).count("pip install") == 1
