"""The machines that the tests of TensorRT run on."""

from collections.abc import Iterator

import pytest

from sr_runtime.backends.tensorrt.library import builder_library
from sr_runtime.backends.tensorrt.options import Kind
from sr_runtime.errors import BackendError
from tests.simulated_tensorrt import VERSIONS, Machine, simulated

SIMULATED = {f"simulated-{version}": version for version in VERSIONS}


@pytest.fixture(params=VERSIONS)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A simulated GPU with TensorRT 10, then 11, which a test can look into and make fail."""
    with simulated(request.param) as machine:
        yield machine


@pytest.fixture(params=SIMULATED)
def tensorrt(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every TensorRT there is to run engines with."""
    with simulated(SIMULATED[request.param]):
        yield


@pytest.fixture(params=[*SIMULATED, "tensorrt", "tensorrt-rtx"])
def builder(request: pytest.FixtureRequest) -> Iterator[Kind]:
    """Every TensorRT there is to build engines with; TensorRT for RTX needs no GPU for it."""
    if request.param in SIMULATED:
        with simulated(SIMULATED[request.param]):
            yield "tensorrt"
        return
    try:
        builder_library(request.param)
    except BackendError as error:
        pytest.skip(f"{request.param}: {error}")
    yield request.param
