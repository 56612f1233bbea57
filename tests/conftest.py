"""Real images and weights, and the models that several tests share."""

import os
import secrets
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

# Tests that run side by side share the cores, and so do the processes that they start. torch reads
# this when it is imported.
if (_workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))) > 1:
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // _workers)))

import pytest
import torch

from benchmarks.data import DATA
from sr_export.__main__ import main as sr_export
from sr_export.to_onnx import onnx_from_generator
from sr_runtime.backends.tensorrt.cache_folder import CACHE_VARIABLE
from sr_runtime.signals import ENDING
from sr_runtime.storage.lock import wait_for_lock
from sr_train.models.rrdbnet import RRDBNet


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need real images and weights; files of many slow tests come early.

    Where processes share the files, none then works alone on a long one in the end.
    """
    for item in items:
        if "data" in getattr(item, "fixturenames", ()):
            item.add_marker("data")
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: ("end_to_end" not in item.path.parts, -slow[item.path]))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of measured facts and built engines, an empty one for each test; it is made when
    it is used. No test reads or writes that of the user."""
    folder = tmp_path_factory.getbasetemp() / "caches" / secrets.token_hex(8)
    folder.parent.mkdir(exist_ok=True)
    monkeypatch.setenv(CACHE_VARIABLE, str(folder))
    return folder


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
                if module.bias is not None:
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
def hears_signals() -> Iterator[None]:
    """Tests that a shell starts in its background are deaf to SIGINT, those of nohup to SIGHUP."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def exported(
    data: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Callable[[str], Path]:
    """`exported("RRDB_PSNR_x4")`: the file that the command line makes of these weights, once for
    all tests and all processes that run them."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder if worker_id == "master" else folder.parent

    def export(name: str) -> Path:
        path = folder / f"{name}.onnx"
        with path.with_suffix(".lock").open("wb") as lock:
            wait_for_lock(lock.fileno())
            if not path.exists():
                weights = data / "weights" / f"{name}.pth"
                assert sr_export(["onnx", str(weights), "-o", str(path)]) == 0
        return path

    return export


@pytest.fixture(scope="session")
def psnr_onnx(exported: Callable[[str], Path]) -> Path:
    """The authors' RRDB_PSNR_x4, exported by the command line."""
    return exported("RRDB_PSNR_x4")


@pytest.fixture(scope="session")
def esrgan_onnx(exported: Callable[[str], Path]) -> Path:
    """The authors' RRDB_ESRGAN_x4, exported by the command line."""
    return exported("RRDB_ESRGAN_x4")
