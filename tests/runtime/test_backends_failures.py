"""What goes wrong in an engine: memory that runs out, interrupts, and what is printed."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import numpy as np
import onnx
import onnxruntime as ort
import openvino
import pytest
from onnx import numpy_helper

import sr_runtime
from sr_runtime import BackendError, ModelError, OutOfMemoryError, Upscaler
from sr_runtime.backends.base import PendingBatch, infer
from sr_runtime.backends.onnxruntime.cpu import OnnxRuntimeBackend
from sr_runtime.backends.onnxruntime.session import run_error
from sr_runtime.backends.openvino import OpenVINOBackend
from sr_runtime.backends.out_of_memory import is_out_of_memory
from sr_runtime.backends.reason import first_line
from tests.runtime.test_backends import PHOTO, expected


@pytest.mark.parametrize(
    "message",
    [
        "Failed to allocate memory for requested buffer of size 4294967296",
        "Failed to allocate 268435456 bytes of memory",
        "Available memory of 1024 is smaller than requested bytes of 4096",
        "CUDA failure 2: out of memory ; GPU=0 ; expr=cudaMalloc((void**)&p, size);",
        "CUDNN failure 4002: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=0",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; expr=cublasCreate(&handle);",
        "CUBLAS failure 3: the resource allocation failed ; GPU=0 ; expr=cublasCreate(&handle);",
        "Requested amount of GPU memory could not be allocated. OutOfMemory",
        "std::bad_alloc",
        "[CPU] Reorder node with name 'x_f32_abcd_bf16_acdb_y' can't alloc",
        "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried",
        "[enforce fail at alloc_cpu.cpp:116] DefaultCPUAllocator: not enough memory: you tried",
        "libopenvino_intel_cpu_plugin.so: failed to map segment from shared object",
    ],
)
def test_every_engines_words_for_too_little_memory_are_known(message: str) -> None:
    assert is_out_of_memory(message)


@pytest.mark.parametrize(
    "message",
    [
        "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=0",
        "CUDA failure 222: the provided PTX was compiled with an unsupported toolchain. ; GPU=0",
    ],
)
def test_what_a_driver_that_is_too_old_cannot_do_says_to_update_it(message: str) -> None:
    assert str(run_error(RuntimeError(message))).endswith("update the NVIDIA driver")


@pytest.mark.parametrize(
    "message",
    [
        "the pre-allocated output buffer has the wrong shape",
        "unknown option in the allocator config",
        "Invalid input",
    ],
)
def test_an_error_that_only_mentions_allocation_is_not_out_of_memory(message, tiny_onnx) -> None:
    assert not is_out_of_memory(message)
    backend = OpenVINOBackend(tiny_onnx(), device="cpu", precision="fp32")

    class Refusing:
        def start_async(self, *_: object, **__: object) -> None:
            raise RuntimeError(message)

    backend._idle.append(Refusing())
    pending = backend.submit(np.zeros((1, 3, 16, 16), np.float32))
    with pytest.raises(BackendError, match=message):
        pending.result()
    pending.release()
    backend.close()


def test_openvino_recovers_when_there_is_no_memory_to_compile_again(tiny_onnx, monkeypatch) -> None:
    backend = OpenVINOBackend(tiny_onnx(), device="cpu", precision="fp32")
    batch = np.zeros((1, 3, 16, 16), np.float32)
    wanted = infer(backend, batch)

    def no_memory(*_: object) -> NoReturn:
        raise OutOfMemoryError("not enough memory to load the model")

    backend.shrink()
    with monkeypatch.context() as patch:
        patch.setattr("sr_runtime.backends.openvino._compile", no_memory)
        with pytest.raises(OutOfMemoryError):
            infer(backend, batch)
    np.testing.assert_array_equal(infer(backend, batch), wanted)


def test_openvino_goes_on_after_ctrl_c_during_every_submit(tiny_onnx, monkeypatch) -> None:
    backend = OpenVINOBackend(tiny_onnx(), device="cpu", precision="fp32")
    batch = np.random.default_rng(0).random((1, 3, 16, 16), np.float32)
    before = infer(backend, batch)
    start = openvino.InferRequest.start_async

    def interrupted(request: object, *arguments: object, **options: object) -> None:
        start(request, *arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(openvino.InferRequest, "start_async", interrupted)
        for _ in range(backend.limits.depth + 1):
            with pytest.raises(KeyboardInterrupt):
                backend.submit(batch)
    pending = [backend.submit(batch) for _ in range(backend.limits.depth)]
    for one in pending:
        np.testing.assert_array_equal(one.result(), before)
        one.release()
    backend.close()


def test_openvino_waits_again_for_a_batch_whose_wait_was_interrupted(tiny_onnx) -> None:
    class InterruptedOnce:
        waits, output_tensors = 0, (SimpleNamespace(data=None),)

        def start_async(self, *_: object, **__: object) -> None:
            pass

        def wait(self) -> None:
            self.waits += 1
            if self.waits == 1:
                raise KeyboardInterrupt

    backend = OpenVINOBackend(tiny_onnx(), device="cpu", precision="fp32")
    request = InterruptedOnce()
    backend._idle.append(request)
    pending = backend.submit(np.zeros((1, 3, 16, 16), np.float32))
    with pytest.raises(KeyboardInterrupt):
        pending.result()
    pending.release()  # else the request would be used again while it computes
    assert request.waits == 2
    backend.close()


def test_the_hosts_log_level_of_onnxruntime_is_left_as_it_was(tiny_onnx, tmp_path, capfd) -> None:
    model = onnx.load(tiny_onnx())
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "unused"))
    onnx.save(model, tmp_path / "m.onnx")  # which every session with log level 2 remarks on

    def remarks() -> str:
        ort.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
        return capfd.readouterr().err

    assert "unused" in remarks()
    ort.set_default_logger_severity(3)
    try:
        sr_runtime.load(tmp_path / "m.onnx", backend="onnxruntime", device="cpu").close()
        with pytest.raises(ModelError):
            OnnxRuntimeBackend(Path(__file__), device="cpu", precision="fp32")
        assert remarks() == ""
    finally:
        ort.set_default_logger_severity(2)


class SmallMemory:
    """A real engine that is given batches, and has room for so many LR pixels at once."""

    name, device, compute_dtype, notes = "onnxruntime", "cpu", "fp32", ()

    def __init__(self, model: Path, *, pixels: int, batch: int) -> None:
        self._engine = OnnxRuntimeBackend(model, device="cpu", precision="fp32")
        self._pixels = pixels
        self.info, self.limits = self._engine.info, replace(self._engine.limits, batch=batch)
        self.taken: list[tuple[int, ...]] = []
        self.shrink, self.close = self._engine.shrink, self._engine.close

    def submit(self, batch: np.ndarray) -> PendingBatch:
        if batch.shape[0] * batch.shape[2] * batch.shape[3] > self._pixels:
            return Refused()
        self.taken.append(batch.shape)
        return self._engine.submit(batch)


class Refused:
    def result(self) -> NoReturn:
        raise OutOfMemoryError("no room")

    def release(self) -> None:
        pass


@pytest.mark.slow
def test_memory_that_runs_out_leads_to_smaller_batches_and_then_to_smaller_tiles(
    tiny_onnx,
) -> None:
    engine = SmallMemory(tiny_onnx(), pixels=50 * 50, batch=4)
    photo = PHOTO.repeat(3, 0).repeat(3, 1)
    with Upscaler(engine, tile=96, halo="exact") as upscaler:
        with pytest.warns(RuntimeWarning, match="no room: continuing with ") as said:
            result = upscaler.upscale(photo)
        changes = [str(one.message).removeprefix("no room: continuing with ") for one in said]
        assert changes[:2] == ["2 tiles at a time instead of 4", "1 tiles at a time instead of 2"]
        assert [change.partition(" of ")[0] for change in changes[2:]] == ["tiles"]
        engine.taken.clear()
        upscaler.upscale(photo)  # and it remembers, for no warning comes
        assert {batch[0] for batch in engine.taken} == {1}
    assert np.abs(result - expected(photo)).max() <= 1


def test_a_long_message_keeps_its_end_which_has_the_reason() -> None:
    signature = ", ".join(["const onnxruntime::logging::Logger&"] * 20)
    end = "Unsupported model IR version: 99, max supported IR version: 13"
    said = first_line(
        RuntimeError(f"Load model from m.onnx failed: model.cc:256 ({signature}) {end}")
    )
    assert len(said) < 310
    assert said.startswith("Load model from m.onnx failed")
    assert said.endswith("max supported IR version: 13")


def test_a_file_of_a_newer_onnx_says_what_reads_it(tiny_onnx, tmp_path: Path) -> None:
    model = onnx.load(tiny_onnx())
    model.ir_version = 99
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="pip install --upgrade onnxruntime"):
        sr_runtime.load(tmp_path / "m.onnx", backend="onnxruntime", device="cpu")


def test_memory_that_runs_out_while_a_model_is_loaded_is_our_error(tiny_onnx, monkeypatch) -> None:
    def no_memory(*_: object, **__: object) -> NoReturn:
        raise MemoryError  # numpy's, for instance

    monkeypatch.setattr("sr_runtime.backends.onnxruntime.cpu.declared_limits", no_memory)
    with pytest.raises(OutOfMemoryError, match="to load the model"):
        sr_runtime.load(tiny_onnx(), backend="onnxruntime", device="cpu")
