"""Real images and weights, and the models that several tests share."""

import functools
import os
import secrets
import shutil
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
from sr_export.photos import CALIBRATION
from sr_export.to_onnx import onnx_from_generator
from sr_runtime.signals import ENDING
from sr_runtime.storage.lock import wait_for_lock
from sr_runtime.storage.user_folder import VARIABLES
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
    it is used. No test reads or writes the user's own."""
    folder = tmp_path_factory.getbasetemp() / "caches" / secrets.token_hex(8)
    folder.parent.mkdir(exist_ok=True)
    monkeypatch.setenv(VARIABLES["caches"], str(folder))
    return folder


@pytest.fixture(autouse=True)
def own_models(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of models, as `cache`."""
    folder = cache.with_name(f"{cache.name}-models")
    monkeypatch.setenv(VARIABLES["models"], str(folder))
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
def tiny_onnx(tmp_path_factory: pytest.TempPathFactory, shared: Path) -> Callable[..., Path]:
    """`tiny_onnx(precision="fp16", io="uint8", scale_factor=2, …)`: an exported tiny generator."""

    @functools.cache
    def make(precision: str, io: str, options: tuple[tuple[str, int], ...]) -> Path:
        def export(path: Path) -> None:
            generator = tiny_generator(**dict(options))
            model = onnx_from_generator(generator, precision=precision, io=io, halo=16)
            path.write_bytes(model.SerializeToString())

        sizes = (f"{name}={value}" for name, value in options)
        exported = made_once(shared / "-".join(["tiny", precision, io, *sizes]), export)
        own = tmp_path_factory.mktemp("tiny") / "tiny.onnx"  # tests put files beside it
        return Path(shutil.copy(exported, own))

    def tiny(precision: str = "fp32", io: str = "float32", **options: int) -> Path:
        return make(precision, io, tuple(sorted(options.items())))

    return tiny


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all processes that run tests have in common."""
    folder = tmp_path_factory.getbasetemp()
    return folder if worker_id == "master" else folder.parent


def made_once(path: Path, make: Callable[[Path], None]) -> Path:
    """The file at a path in `shared`, which the first process that needs it makes."""
    with path.with_name(f"{path.name}.lock").open("wb") as lock:
        wait_for_lock(lock.fileno())
        if not path.exists():
            make(path)
    return path


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
    data: Path, tmp_path_factory: pytest.TempPathFactory, shared: Path
) -> Callable[[str], Path]:
    """`exported("RRDB_PSNR_x4")`: the file that the command line makes of these weights. Its halo
    is searched on one of the three photos, each of which takes half a minute."""
    photos = tmp_path_factory.mktemp("calibration")
    shutil.copy(CALIBRATION / "astronaut.png", photos)

    def export(name: str) -> Path:
        weights = data / "weights" / f"{name}.pth"
        command = ["onnx", str(weights), "--calibrate", str(photos), "-o"]

        def make(path: Path) -> None:
            assert sr_export([*command, str(path)]) == 0

        return made_once(shared / f"{name}.onnx", make)

    return export


@pytest.fixture(scope="session")
def psnr_onnx(exported: Callable[[str], Path]) -> Path:
    """The authors' RRDB_PSNR_x4, exported by the command line."""
    return exported("RRDB_PSNR_x4")


@pytest.fixture(scope="session")
def esrgan_onnx(exported: Callable[[str], Path]) -> Path:
    """The authors' RRDB_ESRGAN_x4, exported by the command line."""
    return exported("RRDB_ESRGAN_x4")
