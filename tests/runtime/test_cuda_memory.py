"""CUDA's memory and streams over both bindings: on a simulated driver, and by the real names."""

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sr_runtime.backends.cuda import bindings as cuda_bindings
from sr_runtime.backends.cuda import driver
from sr_runtime.backends.cuda.pixels import PixelKernels
from sr_runtime.errors import BackendError, OutOfMemoryError
from tests.simulated_tensorrt import Machine, simulated
from tests.simulated_tensorrt.machine import CUresult


@pytest.fixture(params=["cuda.bindings", "pycuda"])
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    only_pycuda = request.param == "pycuda"
    with simulated(gpus=2, pycuda=only_pycuda, bindings=not only_pycuda) as machine:
        yield machine


def test_bytes_go_to_the_gpu_and_back_in_the_order_they_were_queued(machine: Machine) -> None:
    gpu = driver.open_device("cuda:1")
    with gpu.current():
        stream, memory = gpu.stream(), gpu.allocate(1000)
        source, target, later = (gpu.allocate_pinned(1000) for _ in range(3))
        source.array[:] = np.arange(1000) % 251
        stream.upload(memory, source, 900)
        stream.download(target, memory, 900)
        stream.upload(memory, target, 10)
        stream.download(later, memory, 900)
        stream.wait()
        assert np.array_equal(target.array[:900], source.array[:900])
        assert np.array_equal(later.array[:900], source.array[:900])
        for piece in (memory, source, target, later):
            piece.free()
        stream.close()
    gpu.close()
    assert machine.current is None
    assert all(each.is_empty for each in machine.gpus)


def test_the_context_of_whoever_was_there_before_is_put_back(machine: Machine) -> None:
    first, second = driver.open_device("cuda:0"), driver.open_device("cuda:1")
    with first.current():
        with second.current():
            assert machine.current is machine.gpus[1]
        with contextlib.suppress(ZeroDivisionError), second.current():
            raise ZeroDivisionError
        assert machine.current is machine.gpus[0]
    assert machine.current is None
    first.close()
    second.close()


def test_out_of_memory_names_the_needed_and_the_free_memory(machine: Machine) -> None:
    gpu = driver.open_device("cuda:0")
    with gpu.current():
        assert gpu.free_memory() == 1 << 30
        with pytest.raises(OutOfMemoryError, match=r"cuda:0: .* 2000 MB more, 1074 MB are free"):
            gpu.allocate(2_000_000_000)
    gpu.close()


def test_devices_are_named_and_known_by_what_they_are(machine: Machine) -> None:
    assert driver.missing() is None
    assert driver.device_names() == ("cuda:0", "cuda:1")
    assert driver.cuda_version() == (13, 0)
    assert driver.device_facts("cuda:1") == ("Simulated GPU", "9.0")
    assert not any(gpu.retained for gpu in machine.gpus), "facts take no context"
    gpu = driver.open_device("cuda:0")
    assert (gpu.name, gpu.compute_capability) == ("Simulated GPU", "9.0")
    gpu.close()
    for wrong in ("cuda:2", "cuda", "cuda:-1", "cpu"):
        with pytest.raises(BackendError, match="this machine has cuda:0, cuda:1"):
            driver.open_device(wrong)
        with pytest.raises(BackendError, match="this machine has cuda:0, cuda:1"):
            driver.device_facts(wrong)


def test_a_graph_does_again_what_was_captured() -> None:
    with simulated() as machine:
        gpu = driver.open_device("cuda:0")
        with gpu.current():
            stream, memory = gpu.stream(), gpu.allocate(4)
            source, target = gpu.allocate_pinned(4), gpu.allocate_pinned(4)
            assert stream.begin_capture()
            stream.upload(memory, source, 4)
            stream.download(target, memory, 4)
            graph = stream.end_capture()
            assert graph is not None
            for value in (3, 7):
                source.array[:] = value
                graph.launch()
                stream.wait()
                assert target.array.tolist() == [value] * 4
            graph.close()
            for piece in (memory, source, target):
                piece.free()
            stream.close()
        gpu.close()
        assert machine.gpu.is_clean


def test_of_two_bindings_the_one_with_graphs_is_taken() -> None:
    with simulated(pycuda=True) as machine:
        gpu = driver.open_device("cuda:0")
        with gpu.current():
            stream = gpu.stream()
            assert stream.begin_capture()
            stream.end_capture().close()
            stream.close()
        gpu.close()
        assert machine.gpu.is_clean


def test_a_failed_capture_gives_no_graph_and_no_error() -> None:
    with simulated() as machine:
        machine.gpu.capturing_fails = True
        gpu = driver.open_device("cuda:0")
        with gpu.current():
            stream = gpu.stream()
            assert stream.begin_capture()
            assert stream.end_capture() is None
            stream.wait()
            stream.close()
        gpu.close()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"driver": False}, "there is no NVIDIA driver: install"),
        ({"driver": False, "pycuda": True}, "there is no NVIDIA driver: install"),
        ({"gpus": 0}, "CUDA finds no GPU: check CUDA_VISIBLE_DEVICES"),
        (
            {"gpus": 0, "pycuda": True, "bindings": False},
            "CUDA finds no GPU: check CUDA_VISIBLE_DEVICES",
        ),
    ],
)
def test_why_there_is_no_gpu_is_one_sentence(options: dict[str, Any], reason: str) -> None:
    with simulated(**options):
        assert str(driver.missing()).startswith(reason)
        with pytest.raises(BackendError, match=reason):
            driver.open_device("cuda:0")


every_binding = pytest.mark.parametrize(
    "installed", [{}, {"pycuda": True, "bindings": False}], ids=["cuda.bindings", "pycuda"]
)


@every_binding
def test_a_driver_older_than_a_library_wants_is_named_with_both_versions(
    installed: dict[str, bool],
) -> None:
    with simulated(**installed) as machine:
        machine.cuda = 12040
        assert driver.missing("onnxruntime-gpu 1.31.1", cuda=12) is None
        assert driver.missing() is None
        reason = driver.missing("onnxruntime-gpu 1.31.1", cuda=13)
    for fact in ("12.4", "onnxruntime-gpu 1.31.1 needs CUDA 13", "driver 580 or newer"):
        assert fact in str(reason)


@every_binding
@pytest.mark.parametrize(
    ("function", "code", "facts"),
    [
        ("cuInit", "SYSTEM_DRIVER_MISMATCH", ["restart the machine", "LD_LIBRARY_PATH"]),
        ("cuInit", "COMPAT_NOT_SUPPORTED_ON_DEVICE", ["`compat`", "LD_LIBRARY_PATH"]),
        ("cuModuleLoadData", "UNSUPPORTED_PTX_VERSION", ["install a current driver"]),
        ("cuModuleLoadData", "INVALID_PTX", ["install a current driver"]),
    ],
)
def test_a_driver_that_does_not_fit_is_one_sentence_with_the_next_step(
    installed: dict[str, bool], function: str, code: str, facts: list[str]
) -> None:
    with simulated(**installed) as machine:
        machine.refuses[function] = CUresult[f"CUDA_ERROR_{code}"]
        with pytest.raises(BackendError) as raised:
            PixelKernels(driver.open_device("cuda:0"))
    assert all(fact in str(raised.value) for fact in facts)
    assert len(str(raised.value).splitlines()) == 1


def test_missing_bindings_are_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    with simulated(), monkeypatch.context() as patch:
        patch.setitem(sys.modules, "cuda.bindings", None)
        assert "pip install cuda-python" in str(driver.missing())


def test_the_real_bindings_have_every_name_that_is_used() -> None:
    cuda = pytest.importorskip("cuda.bindings.driver", reason="cuda-python is not installed")
    source = Path(cuda_bindings.__file__).read_text(encoding="utf-8")
    functions = set(re.findall(r'"(cu[A-Z]\w+)"', source))
    assert len(functions) > 20
    assert [name for name in functions if not hasattr(cuda, name)] == []
    kinds = (
        cuda.CUdevice_attribute,
        cuda.CUevent_flags,
        cuda.CUresult,
        cuda.CUstreamCaptureMode,
        cuda.CUstream_flags,
    )
    members = {member for kind in kinds for member in kind.__members__}
    assert set(re.findall(r"\.(CU(?:DA)?_[A-Z_]+)", source)) <= members


def test_this_machine_answers_without_harm() -> None:
    """Whatever is installed here: a reason, or devices."""
    reason = driver.missing()
    assert reason or driver.device_names()[0] == "cuda:0"
