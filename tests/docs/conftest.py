"""The files that the examples of the documentation use: a small real photo in several forms, and
tiny networks under the names of large ones."""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_train.checkpoint import save_generator
from sr_train.config import preset
from sr_train.config.file import write_config
from tests.conftest import tiny_generator
from tests.docs.markdown import ROOT

EYE = (130, 76, 226, 140)  # of the cat: 96×64 pixels


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory, tiny_onnx: Callable[..., Path]) -> Path:
    """A folder with every file that an example takes."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "holiday" / "beach").mkdir(parents=True)
    (folder / "runs" / "demo").mkdir(parents=True)
    with Image.open(ROOT / "sr_runtime" / "examples" / "chelsea.png") as cat:
        photo = cat.crop(EYE)
    for name in ("photo.jpg", "holiday/cat.jpg", "holiday/beach/eye.jpg", "portrait.png", "a.png"):
        photo.save(folder / name)
    photo.crop((0, 0, 64, 64)).save(folder / "brick.png")
    gray = np.asarray(photo.convert("L")).astype(np.uint16) * 257
    Image.fromarray(gray).save(folder / "scan.tif")
    if find_spec("rasterio"):
        import rasterio

        with rasterio.open(
            folder / "scene.tif", "w", driver="GTiff", width=photo.width, height=photo.height,
            count=3, dtype="uint8", crs="EPSG:32633", transform=rasterio.Affine.scale(2, -2),
        ) as scene:  # fmt: skip
            scene.write(np.moveaxis(np.asarray(photo), -1, 0))
    photo.putalpha(photo.convert("L"))
    photo.save(folder / "logo.png")
    for name, precision in (("model", "fp32"), ("rrdb", "fp32"), ("rrdb_fp16", "fp16")):
        shutil.copy(tiny_onnx(precision=precision), folder / f"{name}.onnx")
    save_generator(tiny_generator(), folder / "RRDB_ESRGAN_x4.pth")
    if find_spec("av"):
        from tests.runtime.video_files import Clip

        Clip(codec="libx264", pixels="yuv420p", sound="aac").write(folder / "clip.mp4")
    write_config(preset("tiny"), folder / "runs" / "demo" / "config.yaml")
    return folder


@pytest.fixture
def folder(examples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder: a copy of `examples`."""
    # `info` measures how the peak of the memory rises, which a higher one of an earlier test hides.
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    place = tmp_path / "page"
    shutil.copytree(examples, place)
    monkeypatch.chdir(place)
    limit = Image.MAX_IMAGE_PIXELS
    yield place
    Image.MAX_IMAGE_PIXELS = limit
    logging.captureWarnings(False)  # a page shows how to switch it on
