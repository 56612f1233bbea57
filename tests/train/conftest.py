"""The networks here are tiny: several threads would only wait for one another."""

from collections.abc import Iterator
from pathlib import Path

import PIL.Image
import pytest
import torch

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
