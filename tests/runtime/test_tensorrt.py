"""Engines on a simulated GPU: outputs, two streams, memory, and engines that do not fit."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sr_runtime.backends.engine_file import facts_path, read_engine, sha256, write_engine
from sr_runtime.backends.engine_options import BuildOptions, Profile
from sr_runtime.backends.onnxruntime import OnnxRuntimeBackend
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError
from sr_runtime.upscaler import Upscaler
from tests.simulated_tensorrt import VERSIONS, Machine, simulated

PROFILE = Profile.parse("1x16x16", "2x48x48", "4x96x96")


@pytest.fixture(params=VERSIONS)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """One GPU and TensorRT 10, then 11."""
    with simulated(request.param) as machine:
        yield machine


def engine_file(model: Path, folder: Path, **options: Any) -> Path:
    """Build an engine in the machine that is simulated now."""
    from sr_runtime.backends.tensorrt_build import build_engine

    path = folder / "tiny.engine"
    write_engine(path, *build_engine(model, BuildOptions(profile=PROFILE, **options)))
    return path


def open_engine(path: Path, device: str = "cuda:0") -> Any:
    from sr_runtime.backends.tensorrt import TensorRTBackend

    return TensorRTBackend(path, device=device, precision="fp16")


def expected(model: Path, batch: NDArray[Any]) -> NDArray[Any]:
    backend = OnnxRuntimeBackend(model, device="cpu", precision="fp32")
    return backend.submit(batch).result()


def batches(io: str, *shapes: tuple[int, int, int]) -> list[NDArray[Any]]:
    random = np.random.default_rng(0)
    if io == "uint8":
        return [random.integers(0, 256, (n, h, w, 3), np.uint8) for n, h, w in shapes]
    return [random.random((n, 3, h, w), np.float32) for n, h, w in shapes]


def same_in_flight(backend: Any, inputs: list[NDArray[Any]], model: Path) -> bool:
    """Whether every output is right, with two batches in flight throughout."""
    pending, right = [], []

    def take_one() -> None:
        handle, batch = pending.pop(0)
        right.append(np.array_equal(handle.result(), expected(model, batch)))

    for batch in inputs:
        if len(pending) == backend.limits.depth:
            take_one()
        mine = batch.copy()
        pending.append((backend.submit(mine), batch))
        mine[:] = 0  # the caller's array is its own again
    while pending:
        take_one()
    return all(right)


@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_outputs_equal_the_models_own_to_the_last_bit(
    io: str, machine: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_onnx(precision="fp16", io=io)
    backend = open_engine(engine_file(model, tmp_path))
    inputs = batches(io, *[(2, 16, 24)] * 6, *[(1, 32, 16)] * 3, *[(4, 16, 24)] * 5)
    assert same_in_flight(backend, inputs, model)
    assert machine.gpu.launches > 0, "no CUDA graph was used"
    backend.close()
    assert machine.gpu.is_clean


def test_pycuda_gives_the_same(tiny_onnx: Callable[..., Path], tmp_path: Path) -> None:
    model = tiny_onnx(precision="fp16")
    with simulated(pycuda=True) as machine:
        backend = open_engine(engine_file(model, tmp_path))
        assert same_in_flight(backend, batches("float32", *[(2, 16, 24)] * 4), model)
        backend.close()
        assert machine.gpu.is_clean


def test_an_image_is_upscaled_as_onnxruntime_upscales_it(
    machine: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    image = np.random.default_rng(1).integers(0, 256, (70, 83, 3), np.uint8)
    backend = open_engine(engine_file(model, tmp_path))
    other = OnnxRuntimeBackend(model, device="cpu", precision="fp32")
    other.limits = backend.limits  # so that the image is cut into the same tiles
    with (
        Upscaler(backend, tile=48, halo=8) as ours,
        Upscaler(other, tile=48, halo=8) as theirs,
    ):
        np.testing.assert_array_equal(ours.upscale(image), theirs.upscale(image))
    assert machine.gpu.is_clean


def test_a_result_stays_while_the_other_batch_is_taken(
    machine: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    backend = open_engine(engine_file(model, tmp_path))
    first, second = batches("float32", (1, 16, 16), (1, 16, 16))
    handles = [backend.submit(first), backend.submit(second)]
    result = handles[0].result()
    handles[1].result()
    np.testing.assert_array_equal(result, expected(model, first))
    backend.close()


def test_goes_on_without_graphs_where_nothing_can_be_captured(
    machine: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    machine.gpu.capturing_fails = True
    model = tiny_onnx(precision="fp16")
    backend = open_engine(engine_file(model, tmp_path))
    assert same_in_flight(backend, batches("float32", *[(1, 16, 16)] * 6), model)
    assert machine.gpu.launches == 0
    backend.close()
    assert machine.gpu.is_clean


def test_any_thread_may_use_it_and_finds_its_own_context_afterwards(
    machine: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    backend = open_engine(engine_file(model, tmp_path))
    right = []
    thread = threading.Thread(
        target=lambda: right.append(
            same_in_flight(backend, batches("float32", *[(1, 16, 16)] * 3), model)
        )
    )
    thread.start()
    thread.join()
    assert right == [True]
    backend.close()
    assert machine.stack == []


def test_a_batch_outside_the_profile_fails_alone(
    machine: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    backend = open_engine(engine_file(model, tmp_path))
    good, bad = batches("float32", (1, 16, 16), (1, 16, 200))
    handles = [backend.submit(good), backend.submit(bad)]
    np.testing.assert_array_equal(handles[0].result(), expected(model, good))
    with pytest.raises(BackendError, match="1×3×16×200"):
        handles[1].result()
    np.testing.assert_array_equal(backend.submit(good).result(), expected(model, good))
    backend.close()


def test_tile_and_batch_are_chosen_within_profile_and_memory(
    machine: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    path = engine_file(tiny_onnx(precision="fp16"), tmp_path)
    backend = open_engine(path)
    limits = backend.limits
    backend.close()
    assert (limits.min_tile, limits.max_tile) == ((16, 16), (96, 96))
    assert (limits.tile, limits.batch, limits.depth) == (48, 2, 2)
    machine.gpu.total = 8_000_000
    backend = open_engine(path)
    largest = backend.limits.max_tile
    assert 48 <= max(largest) < 96
    (batch,) = batches("float32", (backend.limits.batch, *largest))
    handles = [backend.submit(batch), backend.submit(batch)]
    assert all(handle.result().shape[2] == 4 * largest[0] for handle in handles)
    backend.close()


def test_an_image_is_finished_with_smaller_tiles_where_memory_runs_out(
    machine: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = tiny_onnx(precision="fp16")
    image = np.random.default_rng(1).integers(0, 256, (96, 150, 3), np.uint8)
    with Upscaler(open_engine(engine_file(model, tmp_path)), tile=96, halo=16) as upscaler:
        machine.gpu.total -= machine.gpu.free - 6_000_000  # another process takes the rest
        with pytest.warns(RuntimeWarning, match="tiles of 48 instead of 96"):
            result = upscaler.upscale(image)
    with Upscaler(
        OnnxRuntimeBackend(model, device="cpu", precision="fp32"), tile=48, halo=16
    ) as other:
        np.testing.assert_array_equal(result, other.upscale(image))


def test_memory_of_the_engine_that_is_not_there_is_said(
    machine: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    backend = open_engine(engine_file(tiny_onnx(precision="fp16"), tmp_path))
    machine.gpu.total -= machine.gpu.free - 1_000_000
    (batch,) = batches("float32", (2, 96, 96))
    handle = backend.submit(batch)
    with pytest.raises(OutOfMemoryError, match=r"cuda:0: not enough memory for \d+ MB more"):
        handle.result()
    backend.close()


def test_closing_waits_for_what_is_in_flight(
    machine: Machine, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    backend = open_engine(engine_file(tiny_onnx(precision="fp16"), tmp_path))
    for batch in batches("float32", (1, 16, 16), (1, 16, 16)):
        backend.submit(batch)
    backend.close()
    assert machine.gpu.is_clean


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
        with pytest.raises(BackendError, match="tensorrt_lean runs engines and builds none"):
            open_engine(model)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: facts_path(path).unlink(), "not beside it"),
        (lambda path: facts_path(path).write_text("{}"), "facts are damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "the plan is damaged"),
        (lambda path: replace_plan(path, b"no plan"), "cannot load the engine .*magicTag"),
    ],
)
def test_a_damaged_engine_is_refused_in_a_sentence(
    damage: Callable[[Path], None],
    message: str,
    tiny_onnx: Callable[..., Path],
    tmp_path: Path,
) -> None:
    with simulated() as machine:
        path = engine_file(tiny_onnx(precision="fp16"), tmp_path)
        damage(path)
        with pytest.raises(ModelError, match=message):
            open_engine(path)
        assert machine.gpu.is_clean


def replace_plan(path: Path, plan: bytes) -> None:
    """Another plan, with facts that belong to it."""
    _, info = read_engine(path)
    write_engine(path, plan, replace(info, plan_sha256=sha256(plan)))


def test_tensorrt_is_not_touched_without_a_driver() -> None:
    with (
        simulated(driver=False),
        pytest.raises(ImportError, match="there is no NVIDIA driver: install"),
    ):
        import sr_runtime.backends.tensorrt  # noqa: F401


def test_the_real_lean_runtime_is_left_alone_without_a_driver() -> None:
    pytest.importorskip("tensorrt_lean", reason="tensorrt_lean is not installed")
    pytest.importorskip("cuda.bindings", reason="cuda-python is not installed")
    from sr_runtime.backends import cuda_memory

    if cuda_memory.missing() is None:
        pytest.skip("there is a driver here")
    code = """
import tensorrt_lean
try:
    import sr_runtime.backends.tensorrt
except ImportError as error:
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
