"""pixels.cu against numpy, on this processor and on a GPU, and the PTX that is shipped."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sr_runtime.backends.cuda import bindings, driver
from sr_runtime.backends.cuda.memory import TensorMemory
from sr_runtime.backends.cuda.pixels import PTX
from sr_runtime.errors import BackendError
from sr_runtime.tensor import tensor_from_tiles, write_planes
from tests.runtime.cuda_kernels import (
    NVCC,
    RUNS_ON_THE_HOST,
    compiler_version,
    host_kernels,
    ptx_from_source,
    source_digest,
)
from tests.runtime.known_network import KnownNetwork

IMAGES = 3
AREA = 65537  # odd, and one more than there are uint16 values
LARGEST = {np.uint8: 255, np.uint16: 65535}

every_kind = pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
every_planes = pytest.mark.parametrize("planes_dtype", [np.float32, np.float16])
every_color = pytest.mark.parametrize(("colors", "channels"), [(1, 1), (1, 3), (3, 3)])


@pytest.fixture(scope="module", params=["host", "gpu"])
def run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., None]:
    """Runs a kernel: `run(name, source, target, finite, numbers=…)`."""
    if request.param == "gpu":
        if reason := driver.missing():
            pytest.skip(reason)
        return on_the_gpu
    if not RUNS_ON_THE_HOST:
        pytest.skip("needs g++ and an x86 processor")
    return host_kernels(tmp_path_factory.mktemp("kernels"))


def on_the_gpu(name: str, *arrays: NDArray[np.generic], numbers: tuple[int, ...]) -> None:
    gpu = driver.open_device("cuda:0")
    with gpu.current():
        stream, kernels = gpu.stream(), gpu.load_kernels(PTX.read_bytes(), [name])
        memories = [TensorMemory(name, array.dtype, gpu) for array in arrays]
        for memory, array in zip(memories, arrays, strict=True):
            memory.reserve(array.shape)
            memory.array[...] = array
            memory.upload(stream)
        blocks, images = -(-numbers[0] // 256), len(arrays[0])
        addresses = [memory.address for memory in memories]
        numbers = tuple(map(int, numbers))
        kernels.launch(
            name, stream, blocks=(blocks, images), threads=256, addresses=addresses, numbers=numbers
        )
        for memory in memories:
            memory.download(stream)
        stream.wait()
        for memory, array in zip(memories, arrays, strict=True):
            array[...] = memory.array
            memory.free()
        kernels.close()
        stream.close()
    gpu.close()


@every_kind
@every_planes
@every_color
def test_pixels_become_the_planes_that_numpy_makes(
    run, dtype, planes_dtype, colors: int, channels: int
) -> None:
    values = np.arange(IMAGES * AREA * colors) * 40503  # passes every value
    pixels = values.astype(dtype).reshape(IMAGES, AREA, 1, colors)
    planes = np.empty((IMAGES, channels, AREA, 1), planes_dtype)
    finite = np.zeros(IMAGES, np.uint8)
    wide, half = dtype == np.uint16, planes_dtype == np.float16
    run("planes_from_pixels", pixels, planes, finite, numbers=(AREA, colors, channels, wide, half))
    info = KnownNetwork(radius=0, channels=channels).info
    expected = tensor_from_tiles(list(pixels), info).astype(planes_dtype)
    np.testing.assert_array_equal(planes, expected)
    assert finite.all()


def outputs_of_a_network(channels: int, dtype: type, planes_dtype: type) -> NDArray[np.floating]:
    """Every step and every value halfway between two steps, what is beyond, and noise."""
    random = np.random.default_rng(0)
    white = LARGEST[dtype]
    steps = np.arange(-3, 2 * white + 4) / np.float32(2 * white)
    odd = np.array([0, -0.0, 1e-40, -1e-40, 1e30, -1e30, 3e38, -3e38], np.float32)
    gray = np.concatenate([odd, steps, random.uniform(-0.2, 1.2, IMAGES * AREA)])[: IMAGES * AREA]
    planes = np.stack([gray, *(random.permutation(gray) for _ in range(channels - 1))])
    with np.errstate(over="ignore"):
        planes = planes.astype(planes_dtype)
    planes[~np.isfinite(planes)] = 2
    return np.ascontiguousarray(planes.reshape(channels, IMAGES, AREA, 1).swapaxes(0, 1))


@every_kind
@every_planes
@every_color
def test_planes_become_the_pixels_that_numpy_makes(
    run, dtype, planes_dtype, colors: int, channels: int
) -> None:
    planes = outputs_of_a_network(channels, dtype, planes_dtype)
    pixels = np.empty((IMAGES, AREA, 1, colors), dtype)
    finite = np.ones(IMAGES, np.uint8)
    numbers = (AREA, colors, channels, dtype == np.uint16, planes_dtype == np.float16)
    run("pixels_from_planes", planes, pixels, finite, numbers=numbers)
    expected = np.empty_like(pixels)
    for image, picture in zip(planes, expected, strict=True):
        with np.errstate(over="ignore"):
            write_planes(image, picture)
    np.testing.assert_array_equal(pixels, expected)
    assert finite.all()


@every_planes
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channel", [0, 2])
def test_the_image_that_is_not_finite_is_known(run, planes_dtype, value, channel: int) -> None:
    planes = np.full((3, 3, 5, 1), 0.5, planes_dtype)
    planes[1, channel, 4] = value
    pixels, finite = np.empty((3, 5, 1, 1), np.uint8), np.ones(3, np.uint8)
    half = planes_dtype == np.float16
    run("pixels_from_planes", planes, pixels, finite, numbers=(5, 1, 3, 0, half))
    assert finite.tolist() == [1, 0, 1]


def test_the_shipped_code_is_of_the_source_and_rounds_as_numpy_does() -> None:
    code = PTX.read_text(encoding="ascii")
    assert source_digest() in code, "pixels.cu has changed: python -m tests.runtime.cuda_kernels"
    assert re.findall(r"\.entry (\w+)", code) == ["planes_from_pixels", "pixels_from_planes"]
    operations = set(re.findall(r"\b(?:fma|mul|add|sub|div)\S*\.f32\b", code))
    # An operation that does not name its rounding may be fused by the driver.
    assert operations == {"mul.rn.f32", "add.rn.f32", "div.rn.f32"}


@pytest.mark.skipif(NVCC is None, reason="needs nvcc")
def test_the_compiler_makes_the_shipped_code_of_the_source(tmp_path: Path) -> None:
    shipped = PTX.read_text(encoding="ascii")
    if f"nvcc {compiler_version()} " not in shipped:
        pytest.skip(f"{shipped.splitlines()[1]} made it, and here is {compiler_version()}")
    assert ptx_from_source(tmp_path) == shipped


@pytest.mark.skipif(shutil.which("ptxas") is None, reason="needs ptxas")
def test_the_shipped_code_is_translated_for_every_card(tmp_path: Path) -> None:
    for card in (75, 80, 86, 89, 90, 100, 120):
        command = ["ptxas", f"-arch=sm_{card}", str(PTX), "-o", str(tmp_path / "cubin")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_the_real_bindings_take_the_parameters_of_a_launch() -> None:
    cuda = pytest.importorskip("cuda.bindings.driver", reason="cuda-python is not installed")
    if driver.missing() is None:
        pytest.skip("there is a GPU, which launches real kernels")
    kernels = bindings._Kernels.__new__(bindings._Kernels)
    kernels._functions = {"nothing": cuda.CUfunction(0)}

    class Stream:
        handle = 0

    # Parameters of a wrong form would be a TypeError.
    with pytest.raises(BackendError, match="cuLaunchKernel"):
        kernels.launch(
            "nothing", Stream(), blocks=(1, 1), threads=1, addresses=(1, 2, 3), numbers=(4, 5)
        )
