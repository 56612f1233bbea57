"""Real images and weights, and the models that several tests share."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.data import DATA
from sr_export.__main__ import main as sr_export
from sr_export.to_onnx import onnx_from_generator
from sr_train.models.rrdbnet import RRDBNet


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real images and weights; the test is skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no data at {DATA}: set SR_DATA to the folder of test images and weights")
    return DATA.resolve()  # tests may change the folder they are in


def tiny_generator(seed: int = 0, **options: int) -> RRDBNet:
    """An RRDBNet of one block whose output is a busy picture in the middle of [0, 1]."""
    torch.manual_seed(seed)
    sizes = {"rrdb_channels": 8, "growth_channels": 4, "num_basic_blocks": 1}
    generator = RRDBNet(**(sizes | options)).eval()
    with torch.no_grad():
        for module in generator.modules():
            if isinstance(module, torch.nn.Conv2d):  # the initial residuals are small, for training
                torch.nn.init.kaiming_normal_(module.weight)
                torch.nn.init.zeros_(module.bias)
        generator.conv_last.weight *= 0.3
        generator.conv_last.bias += 0.4
    return generator


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`tiny_onnx(precision="fp16", io="uint8", scale_factor=2, …)`: an exported tiny generator."""
    made: dict[tuple[tuple[str, object], ...], Path] = {}

    def make(precision: str = "fp32", io: str = "float32", **options: int) -> Path:
        key = tuple(sorted({"precision": precision, "io": io, **options}.items()))
        if key not in made:
            model = onnx_from_generator(
                tiny_generator(**options), precision=precision, io=io, halo=16
            )
            made[key] = tmp_path_factory.mktemp("tiny") / "tiny.onnx"
            made[key].write_bytes(model.SerializeToString())
        return made[key]

    return make


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """Whoever starts tests in a shell's background starts them deaf to SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _exported(name: str, data: Path, folder: pytest.TempPathFactory) -> Path:
    path = folder.mktemp(name) / f"{name}.onnx"
    assert sr_export(["onnx", str(data / "weights" / f"{name}.pth"), "-o", str(path)]) == 0
    return path


@pytest.fixture(scope="session")
def psnr_onnx(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authors' RRDB_PSNR_x4, exported by the command line."""
    return _exported("RRDB_PSNR_x4", data, tmp_path_factory)


@pytest.fixture(scope="session")
def esrgan_onnx(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authors' RRDB_ESRGAN_x4, exported by the command line."""
    return _exported("RRDB_ESRGAN_x4", data, tmp_path_factory)
