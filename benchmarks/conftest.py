"""What the benchmarks measure on: real weights and a real photo."""

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from benchmarks.data import PHOTO, WEIGHTS, in_data
from sr_export.__main__ import main as sr_export
from sr_train.checkpoint import load_generator
from sr_train.models.generator import Generator


@pytest.fixture(scope="session")
def photo() -> NDArray[np.uint8]:
    """300×451, RGB."""
    with PIL.Image.open(in_data(PHOTO)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="session")
def generator() -> Generator:
    """RRDB-23 ×4, the authors' RRDB_PSNR_x4."""
    return load_generator(in_data(WEIGHTS))


@pytest.fixture(scope="session")
def model(generator: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as ONNX."""
    path = tmp_path_factory.mktemp("model") / "rrdb.onnx"
    assert sr_export(["onnx", str(in_data(WEIGHTS)), "-o", str(path)]) == 0
    return path


@pytest.fixture(scope="session")
def uint8_model(generator: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as ONNX with 8-bit pixels in and out."""
    path = tmp_path_factory.mktemp("model") / "rrdb_uint8.onnx"
    assert sr_export(["onnx", str(in_data(WEIGHTS)), "-o", str(path), "--io", "uint8"]) == 0
    return path


def pytest_benchmark_update_machine_info(
    config: pytest.Config, machine_info: dict[str, Any]
) -> None:
    """Results are published: keep processor and Python version, drop what names the machine."""
    for private in ("node", "release"):
        machine_info.pop(private, None)
