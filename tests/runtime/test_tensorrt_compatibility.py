"""Engines where they do not run: other versions and GPUs, lean runtimes, damage, no driver."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sr_runtime.backends.tensorrt.engine_file import (
    facts_path,
    read_engine,
    sha256,
    write_engine,
)
from sr_runtime.backends.tensorrt.library import open_library
from sr_runtime.errors import BackendError, ModelError
from tests.runtime.tiny_engine import batches, engine_file, open_engine, same_in_flight
from tests.simulated_tensorrt import VERSIONS, Machine, simulated


def test_an_engine_of_another_version_is_named_with_the_command_that_builds_it(
    tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    with simulated(VERSIONS[0]):
        path = engine_file(tiny_onnx(precision="fp16"), tmp_path)
    with simulated(VERSIONS[1]) as machine:
        with pytest.raises(ModelError) as caught:
            open_engine(path)
        assert machine.gpu.is_clean
    message = str(caught.value)
    assert all(version in message for version in VERSIONS)
    assert "python -m sr_export engine MODEL.onnx -o MODEL.engine --min 1x16x16" in message


def test_an_engine_runs_where_it_was_built_to_run(
    machine: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    paths = {}
    for level in ("none", "same", "ampere+"):
        folder = tmp_path / level
        folder.mkdir()
        paths[level] = engine_file(model, folder, hardware_compatible=level)
    machine.gpu.name = "Another GPU"
    with pytest.raises(ModelError, match=r"built for Simulated GPU .* and this is Another GPU"):
        open_engine(paths["none"])
    open_engine(paths["same"]).close()
    machine.gpu.compute_capability = (8, 6)
    with pytest.raises(ModelError, match=r"9\.0.*8\.6.*--hardware-compatible same"):
        open_engine(paths["same"])
    open_engine(paths["ampere+"]).close()
    assert machine.gpu.is_clean


def test_the_lean_runtime_runs_version_compatible_engines_alone(
    tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    (tmp_path / "compatible").mkdir()
    with simulated():
        plain = engine_file(model, tmp_path)
        compatible = engine_file(model, tmp_path / "compatible", version_compatible=True)
        open_engine(compatible).close()
    with simulated(lean=True):
        with pytest.raises(ModelError, match="only tensorrt_lean is installed"):
            open_engine(plain)
        backend = open_engine(compatible)
        assert same_in_flight(backend, batches("float32", *[(1, 16, 16)] * 3), model)
        backend.close()
        with pytest.raises(BackendError, match="tensorrt_lean runs engines but cannot build them"):
            open_engine(model)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: facts_path(path).unlink(), "tiny.engine.json.* not beside it"),
        (
            lambda path: facts_path(path).write_text("{}"),
            r"tiny\.engine\.json: damaged.* sr_export engine",
        ),
        (
            lambda path: facts_path(path).write_text("[]"),
            r"tiny\.engine\.json: damaged.* sr_export engine",
        ),
        (lambda path: facts_path(path).write_text('{"schema": 1}'), r"tiny\.engine\.json: damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "the plan is damaged"),
        (
            lambda path: replace_plan(path, b"no plan"),
            "cannot load the engine .*magicTag|damaged, or no engine of TensorRT for RTX",
        ),
    ],
)
def test_a_damaged_engine_is_refused_in_a_sentence(
    damage: Callable[[Path], None],
    message: str,
    runner: Machine,
    tiny_onnx: Callable[..., Path],
    tmp_path: Path,
) -> None:
    path = engine_file(tiny_onnx(precision="fp16"), tmp_path)
    damage(path)
    with pytest.raises(ModelError, match=message):
        open_engine(path)
    assert runner.gpu.is_clean


def replace_plan(path: Path, plan: bytes) -> None:
    """Another plan, with facts that belong to it."""
    _, info = read_engine(path)
    write_engine(path, plan, replace(info, plan_sha256=sha256(plan)))


def test_tensorrt_is_not_touched_without_a_driver() -> None:
    with (
        simulated(driver=False),
        pytest.raises(BackendError, match="there is no NVIDIA driver: install"),
    ):
        open_library("tensorrt")


def test_tensorrt_is_not_touched_with_a_driver_that_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = tmp_path / "tensorrt_cu13_libs-11.4.0.dist-info" / "METADATA"
    facts.parent.mkdir()
    facts.write_text("Metadata-Version: 2.1\nName: tensorrt_cu13_libs\nVersion: 11.4.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with simulated() as machine:
        open_library("tensorrt")
        machine.cuda = 12040
        with pytest.raises(BackendError, match=r"knows CUDA 12\.4, and tensorrt needs CUDA 13"):
            open_library("tensorrt")


def test_the_real_lean_runtime_is_left_alone_without_a_driver() -> None:
    pytest.importorskip("tensorrt_lean", reason="tensorrt_lean is not installed")
    pytest.importorskip("cuda.bindings", reason="cuda-python is not installed")
    from sr_runtime.backends.cuda import driver

    if driver.missing() is None:
        pytest.skip("there is a driver here")
    code = """
import tensorrt_lean
from sr_runtime import BackendError
from sr_runtime.backends.tensorrt.library import open_library
try:
    open_library("tensorrt")
except BackendError as error:
    print(error)
"""
    # In a process of its own, which is what would end.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "there is no NVIDIA driver" in done.stdout


def test_the_real_lean_runtime_has_what_is_used_of_it() -> None:
    lean = pytest.importorskip("tensorrt_lean", reason="tensorrt_lean is not installed")
    assert not hasattr(lean, "Builder")
    for name in ("ICudaEngine", "IExecutionContext", "Runtime"):
        with simulated(lean.__version__, lean=True):
            import tensorrt_lean

            used = {member for member in vars(getattr(tensorrt_lean, name)) if member[0] != "_"}
        assert used <= set(dir(getattr(lean, name)))
