"""The machines that the tests of TensorRT run on."""

from collections.abc import Iterator

import pytest

from tests.simulated_tensorrt import VERSIONS, Machine, simulated


@pytest.fixture(params=VERSIONS)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A simulated GPU with TensorRT 10, then 11, which a test can look into and make fail."""
    with simulated(request.param) as machine:
        yield machine


# A real builder or a real GPU is one more entry: the tests that take `tensorrt` need no simulation.
TENSORRT = {f"simulated-{version}": version for version in VERSIONS}


@pytest.fixture(params=TENSORRT)
def tensorrt(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every TensorRT there is to test with."""
    with simulated(TENSORRT[request.param]):
        yield
