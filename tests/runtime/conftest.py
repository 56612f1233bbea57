"""The simulated machines that the tests of GPUs run on."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sr_runtime.backends.onnxruntime import cuda as onnxruntime_cuda
from sr_runtime.backends.onnxruntime.providers import cuda_providers
from sr_runtime.backends.tensorrt.library import builder_library
from sr_runtime.backends.tensorrt.options import Kind
from sr_runtime.errors import BackendError
from tests.runtime.simulated_onnxruntime import simulated_cuda_provider
from tests.runtime.tiny_engine import engine_file
from tests.simulated_tensorrt import RUNNERS, VERSIONS, Machine, simulated, simulated_runner


@pytest.fixture(params=VERSIONS)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A simulated GPU with TensorRT 10, then 11, which a test can look into and make fail."""
    with simulated(request.param) as machine:
        yield machine


@pytest.fixture
def card() -> Iterator[Machine]:
    """A simulated card with TensorRT for RTX, whose builder and engines are real."""
    with simulated(None, rtx=True) as machine:
        yield machine


@pytest.fixture
def model(tiny_onnx: Callable[..., Path]) -> Path:
    """A tiny FP16 file."""
    return tiny_onnx(precision="fp16")


@pytest.fixture
def engine(card: Machine, model: Path, tmp_path: Path) -> Path:
    """The engine of `model` for `card`."""
    return engine_file(model, tmp_path)


@pytest.fixture(params=RUNNERS)
def runner(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """`card`, then `machine`: every library that runs engines."""
    with simulated_runner(request.param) as machine:
        yield machine


@pytest.fixture(params=[*VERSIONS, "tensorrt", "tensorrt-rtx"])
def builder(request: pytest.FixtureRequest) -> Iterator[Kind]:
    """Every library that builds engines: simulated, then the real ones that are installed."""
    if request.param in VERSIONS:
        with simulated(request.param):
            yield "tensorrt"
        return
    try:
        builder_library(request.param)
    except BackendError as error:
        pytest.skip(f"{request.param}: {error}")
    yield request.param


@pytest.fixture
def cuda() -> Iterator[Machine]:
    """ONNX Runtime with a simulated GPU."""
    assert onnxruntime_cuda.cuda_providers is cuda_providers, "the test before left its patch"
    with simulated_cuda_provider() as machine:
        yield machine
    assert machine.gpu.is_clean


@pytest.fixture
def cuda_patch(cuda: Machine) -> Iterator[pytest.MonkeyPatch]:
    """Undone before the machine is. `monkeypatch` is undone after it, because a fixture that every
    test has needs it first, and would bring the machine's patches back."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch
