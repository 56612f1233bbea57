"""The networks here are tiny: several threads would only wait for one another."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from sr_runtime.evaluation.pairs import Pair, find_pairs
from sr_train.data.build.prepare import prepare
from tests.train.training_sets import prepare_sets

PHOTOS = Path(__file__).parents[2] / "sr_export" / "calibration"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Run the test on one thread, whatever came before or comes after."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped photos prepared for ×4: `patches` (ten of 128×128), `small` (two of 64×64)."""
    folder = tmp_path_factory.mktemp("photos")
    for name, side, number in (("patches", 128, 10), ("small", 64, 2)):
        (folder / name).mkdir()
        for k in range(number):
            with PIL.Image.open(sorted(PHOTOS.glob("*.png"))[k % 3]) as photo:
                left, top = 128 * (k // 3 % 2), 128 * (k // 6)
                part = photo.convert("RGB").crop((left, top, left + side, top + side))
            part.save(folder / name / f"{k}.png")
        prepare(folder / name, root=folder / "data")
    return folder / "data"


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sets of `prepare_sets`, whose every pixel is known: `mine`, `gray`, `rgb`, `small`."""
    return prepare_sets(tmp_path_factory.mktemp("data"))


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    """Two pictures of soft stripes, with sides that are no multiples of 4."""
    folder = tmp_path / "stripes"
    folder.mkdir()
    for name, (height, width) in {"first": (101, 83), "second": (76, 90)}.items():
        rows, columns, planes = np.ogrid[:height, :width, :3]
        picture = 127 + 100 * np.sin(rows / 5 + columns / 3 + planes)
        PIL.Image.fromarray(picture.astype(np.uint8)).save(folder / f"{name}.png")
    return find_pairs(folder)
