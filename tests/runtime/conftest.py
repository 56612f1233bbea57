"""The machines that the tests of TensorRT run on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sr_runtime.backends.tensorrt.cache_folder import CACHE_VARIABLE
from sr_runtime.backends.tensorrt.library import builder_library
from sr_runtime.backends.tensorrt.options import Kind
from sr_runtime.errors import BackendError
from tests.simulated_tensorrt import VERSIONS, Machine, simulated

SIMULATED: dict[str, dict[str, Any]] = {
    f"simulated-{version}": {"version": version} for version in VERSIONS
}
# Its builder and its engines are real; the card is simulated.
RTX: dict[str, dict[str, Any]] = {"rtx": {"version": None, "rtx": True}}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of engines built on first use: no test writes into that of the user."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=VERSIONS)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A simulated GPU with TensorRT 10, then 11, which a test can look into and make fail."""
    with simulated(request.param) as machine:
        yield machine


@pytest.fixture(params=RTX | SIMULATED)
def runner(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A GPU with each library that runs engines, which a test can look into and make fail."""
    with simulated(**(RTX | SIMULATED)[request.param]) as machine:
        yield machine


@pytest.fixture
def card() -> Iterator[Machine]:
    """A card with TensorRT for RTX, which a test can look into and make fail."""
    with simulated(**RTX["rtx"]) as machine:
        yield machine


@pytest.fixture(params=SIMULATED)
def tensorrt(request: pytest.FixtureRequest) -> Iterator[None]:
    """TensorRT 10, then 11: what TensorRT for RTX has not."""
    with simulated(**SIMULATED[request.param]):
        yield


@pytest.fixture(params=[*SIMULATED, "tensorrt", "tensorrt-rtx"])
def builder(request: pytest.FixtureRequest) -> Iterator[Kind]:
    """Every TensorRT there is to build engines with; TensorRT for RTX needs no GPU for it."""
    if request.param in SIMULATED:
        with simulated(**SIMULATED[request.param]):
            yield "tensorrt"
        return
    try:
        builder_library(request.param)
    except BackendError as error:
        pytest.skip(f"{request.param}: {error}")
    yield request.param
