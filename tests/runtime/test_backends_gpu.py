"""ONNX Runtime on a GPU gives what it gives on the CPU, and leaves nothing behind.

The GPUs are simulated; their memory is bound to ONNX Runtime's CPU provider.
"""

import weakref
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import sr_runtime
from sr_runtime import BackendError, ModelError, OutOfMemoryError
from sr_runtime.backends.onnxruntime import cuda as onnxruntime_cuda
from sr_runtime.backends.onnxruntime import session as onnxruntime_session
from sr_runtime.backends.onnxruntime.providers import cuda_providers
from sr_runtime.backends.onnxruntime.session import Provider
from sr_runtime.backends.onnxruntime.stream_slot import StreamSlot
from tests.runtime.test_backends import doubling, foreign

PHOTO = np.random.default_rng(0).integers(0, 256, (90, 121, 3), np.uint8)


def on_the_cpu(model: Path, photo: np.ndarray = PHOTO, **options: object) -> np.ndarray:
    choice = {"backend": "onnxruntime", "device": "cpu", "precision": "fp32"}
    with sr_runtime.load(model, **choice, **options) as upscaler:
        return upscaler.upscale(photo)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_tiles_in_flight_give_the_picture_of_the_cpu(cuda, precision, io, tiny_onnx) -> None:
    model = tiny_onnx(precision, io)
    with sr_runtime.load(model, device="cuda", tile=48) as upscaler:
        backend = upscaler.backend
        assert (backend.name, backend.device) == ("onnxruntime", "cuda:0")
        assert backend.compute_dtype == precision
        assert len(upscaler.plan(*PHOTO.shape[:2])) > backend.limits.depth
        result = upscaler.upscale(PHOTO)
        small = upscaler.upscale(PHOTO[:10, :10])
    # The CPU's tiles are of another shape, in which sums have another order.
    assert np.abs(result.astype(int) - on_the_cpu(model, tile=48)).max() <= 1
    assert small.shape == (40, 40, 3)


def test_auto_takes_the_gpu_before_the_cpu(cuda, tiny_onnx) -> None:
    with sr_runtime.load(tiny_onnx()) as upscaler:
        assert upscaler.backend.device == "cuda:0"
    with sr_runtime.load(tiny_onnx(), device="cpu") as upscaler:
        assert upscaler.backend.name == "openvino"


@pytest.mark.parametrize("shape", [["n", 3, "h", "w"], [1, 3, 24, 32], [2, 3, 24, "w"]])
def test_anyone_elses_model_runs_with_dynamic_and_fixed_shapes(cuda, shape, tmp_path) -> None:
    model = foreign(tmp_path / "m.onnx", doubling(), shape)
    with sr_runtime.load(model, device="cuda") as upscaler:
        assert "scale" in upscaler.info.measured
        np.testing.assert_array_equal(upscaler.upscale(PHOTO), PHOTO.repeat(2, 0).repeat(2, 1))


def test_a_precision_that_is_not_the_files_is_refused_with_the_export_command(
    cuda, tiny_onnx
) -> None:
    for stored, asked, remedy in [
        ("fp32", "fp16", "python -m sr_export onnx CHECKPOINT --precision fp16 -o MODEL.onnx"),
        ("fp16", "fp32", "python -m sr_export onnx CHECKPOINT -o MODEL.onnx"),
    ]:
        with pytest.raises(BackendError, match=f"precision {asked}") as raised:
            sr_runtime.load(tiny_onnx(stored), device="cuda", precision=asked)
        assert str(raised.value).endswith(remedy)
    with pytest.raises(BackendError, match=r"bf16.*offers fp16 and fp32 on cuda:0"):
        sr_runtime.load(tiny_onnx(), device="cuda", precision="bf16")


def test_an_fp16_model_keeps_its_tensor_cores_and_an_fp32_one_computes_in_fp32(
    cuda, tiny_onnx, cuda_patch
) -> None:
    asked = []

    def providers(ordinal: int, **options: object) -> list[Provider]:
        asked.append(cuda_providers(ordinal, **options)[0][1])
        return [("CPUExecutionProvider", {})]

    cuda_patch.setattr(onnxruntime_cuda, "cuda_providers", providers)
    for precision in ("fp16", "fp32"):
        sr_runtime.load(tiny_onnx(precision), device="cuda").close()
    assert [options["use_tf32"] for options in asked] == [1, 0]
    # In NHWC, ONNX Runtime may take TF32 kernels for an fp32 model whatever `use_tf32` says.
    assert [options["prefer_nhwc"] for options in asked] == [1, 0]


def test_kernels_that_cannot_be_recorded_are_launched_one_by_one(
    cuda, tmp_path, cuda_patch
) -> None:
    model, asked = foreign(tmp_path / "m.onnx", doubling(), (1, 3, 32, 32)), []
    sessions: list[weakref.ref] = []
    open_session = onnxruntime_cuda.open_session

    def providers(ordinal: int, *, graph: bool, **_: object) -> list[Provider]:
        asked.append(graph)
        return [("CPUExecutionProvider", {})]

    def opened(*arguments: object) -> ort.InferenceSession:
        assert not any(session() for session in sessions), "two sessions take the GPU's memory"
        session = open_session(*arguments)
        sessions.append(weakref.ref(session))
        return session

    def spoilt(slot: StreamSlot, shape: tuple[int, ...]) -> Future:
        failed: Future = Future()
        failed.set_exception(BackendError("operation not permitted when stream is capturing"))
        return failed

    cuda_patch.setattr(onnxruntime_cuda, "cuda_providers", providers)
    cuda_patch.setattr(onnxruntime_cuda, "open_session", opened)
    cuda_patch.setattr(StreamSlot, "record", spoilt)
    with sr_runtime.load(model, device="cuda") as upscaler:
        np.testing.assert_array_equal(upscaler.upscale(PHOTO), PHOTO.repeat(2, 0).repeat(2, 1))
    assert asked == [True, False]


def test_a_session_that_cannot_record_is_opened_without_recording(
    cuda, tmp_path, cuda_patch
) -> None:
    model, asked = foreign(tmp_path / "m.onnx", doubling(), (1, 3, 32, 32)), []
    session = onnxruntime_session.ort.InferenceSession

    def providers(ordinal: int, *, graph: bool, **_: object) -> list[Provider]:
        asked.append(graph)
        return [("CPUExecutionProvider", {})]

    def refuses(*arguments: object, **options: object) -> object:
        if asked and asked[-1]:
            raise RuntimeError("This session cannot use the graph capture feature as requested")
        return session(*arguments, **options)

    cuda_patch.setattr(onnxruntime_cuda, "cuda_providers", providers)
    cuda_patch.setattr(onnxruntime_session.ort, "InferenceSession", refuses)
    with sr_runtime.load(model, device="cuda") as upscaler:
        np.testing.assert_array_equal(upscaler.upscale(PHOTO), PHOTO.repeat(2, 0).repeat(2, 1))
    assert asked == [True, False]


@pytest.mark.parametrize(
    ("says", "error"),
    [
        ("CUDA failure 100: no CUDA-capable device is detected", BackendError),
        ("CUDA failure 2: out of memory", OutOfMemoryError),
    ],
)
def test_a_failure_that_is_not_about_recording_opens_the_model_once(
    cuda, tmp_path, cuda_patch, says, error
) -> None:
    model, opened = foreign(tmp_path / "m.onnx", doubling(), (1, 3, 32, 32)), []

    def providers(ordinal: int, **_: object) -> list[Provider]:
        opened.append(ordinal)
        return [("CUDAExecutionProvider", {})]

    session = onnxruntime_session.ort.InferenceSession

    def refuses(*arguments: object, **options: object) -> object:
        if opened:
            raise RuntimeError(says)
        return session(*arguments, **options)

    cuda_patch.setattr(onnxruntime_cuda, "cuda_providers", providers)
    cuda_patch.setattr(onnxruntime_session.ort, "InferenceSession", refuses)
    with pytest.raises(error, match=r"m\.onnx"):
        sr_runtime.load(model, device="cuda")
    assert opened == [0]


def test_a_precision_that_a_fixed_shape_model_lacks_is_refused_at_the_first_try(
    cuda, tmp_path, cuda_patch
) -> None:
    model, opened = foreign(tmp_path / "m.onnx", doubling(), (1, 3, 32, 32)), []

    def providers(ordinal: int, **_: object) -> list[Provider]:
        opened.append(ordinal)
        return [("CPUExecutionProvider", {})]

    cuda_patch.setattr(onnxruntime_cuda, "cuda_providers", providers)
    with pytest.raises(BackendError, match=r"precision fp16.*file is fp32"):
        sr_runtime.load(model, device="cuda", precision="fp16")
    assert opened == [0]


@pytest.mark.parametrize("shape", [["n", 3, "h", "w"], [1, 3, 24, 32]])
def test_a_gpu_goes_on_when_an_interrupt_lost_every_pending_batch(cuda, shape, tmp_path) -> None:
    model = foreign(tmp_path / "m.onnx", doubling(), shape)
    with sr_runtime.load(model, device="cuda") as upscaler:
        for _ in range(upscaler.backend.limits.depth):
            upscaler.backend.submit(np.zeros((1, 3, 24, 32), np.float32))  # and nobody keeps it
        np.testing.assert_array_equal(upscaler.upscale(PHOTO), PHOTO.repeat(2, 0).repeat(2, 1))
        upscaler.backend.shrink()
        np.testing.assert_array_equal(upscaler.upscale(PHOTO), PHOTO.repeat(2, 0).repeat(2, 1))


def test_an_error_belongs_to_its_batch_and_the_next_ones_go_on(cuda, tiny_onnx) -> None:
    with sr_runtime.load(tiny_onnx(), device="cuda") as upscaler:
        good = np.zeros((1, 3, 16, 16), np.float32)
        pending = [upscaler.backend.submit(x) for x in (good, good[:, :2], good)]
        assert pending[0].result().shape == (1, 3, 64, 64)
        with pytest.raises(BackendError, match="could not run the model"):
            pending[1].result()
        assert pending[2].result().shape == (1, 3, 64, 64)
        for one in pending:
            one.release()
        assert upscaler.upscale(PHOTO).shape == (360, 484, 3)


def test_a_wrong_scale_in_the_metadata_is_found_at_the_first_tile(
    cuda, tiny_onnx, tmp_path
) -> None:
    model = onnx.load(tiny_onnx())
    next(prop for prop in model.metadata_props if prop.key == "sr.scale").value = "2"
    onnx.save(model, tmp_path / "m.onnx")
    with (
        sr_runtime.load(tmp_path / "m.onnx", device="cuda") as upscaler,
        pytest.raises(ModelError, match=r"scale 2, multiple_of 1"),
    ):
        upscaler.upscale(PHOTO)
