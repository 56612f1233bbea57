"""A cluster of Ray on this machine, shared by all tests of a file, and what they upscale."""

import gc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def actors_released() -> None:
    """A reference cycle would keep the last test's actors, and the processors that they hold."""
    gc.collect()


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Its address. The command line in this process uses the connection that is open."""
    ray = pytest.importorskip("ray", exc_type=ImportError)

    ray.init(
        address="local", num_cpus=3, include_dashboard=False, log_to_driver=False,
        object_store_memory=200_000_000, logging_level="error",
    )  # fmt: skip
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


@pytest.fixture
def model(tiny_onnx: Callable[..., Path]) -> list[str]:
    """The options for a tiny model and an engine whose every run gives the same bytes."""
    return ["-m", str(tiny_onnx()), "--backend", "onnxruntime", "--precision", "fp32"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with images of several kinds, below each other, and one that is damaged.

    One has a place on the Earth, if the library for these is installed.
    """
    folder = tmp_path / "photos"
    (folder / "below").mkdir(parents=True)
    rng = np.random.default_rng(3)
    for number in range(24):
        pixels = rng.integers(0, 255, (60 + number, 80, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    frames = [Image.fromarray(rng.integers(0, 255, (20, 20), np.uint8)) for _ in range(2)]
    frames[0].save(folder / "below" / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "below" / "same.jpg")
    frames[0].save(folder / "below" / "same.bmp")
    (folder / "damaged.jpg").write_bytes(b"no image")
    with suppress(ImportError):
        import rasterio

        profile = {"driver": "GTiff", "width": 70, "height": 50, "count": 3, "dtype": "uint8"}
        place = rasterio.Affine(2, 0, 500_000, 0, -2, 5_000_000)
        scene = folder / "scene.tif"
        with rasterio.open(scene, "w", crs="EPSG:32633", transform=place, **profile) as file:
            file.write(rng.integers(0, 255, (3, 50, 70), np.uint8))
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """The content of every file of a folder, by its name in it; not of hidden ones."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("[!.]*")
        if path.is_file()
    }


def workers() -> list[int]:
    """The processes in which Ray Data runs the model."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        if command.startswith(b"ray::MapWorker"):
            found.append(int(process.name))
    return found
