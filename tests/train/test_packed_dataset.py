"""Packed images equal the source images, and damage is noticed and named."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from sr_runtime.errors import DataError
from sr_runtime.resize import downscale, mod_crop
from sr_train.data.packed_dataset import PackedImages
from tests.train.made_images import Pixels, prepare_own, save_folder

SIZES = [(32, 40), (33, 47), (64, 36)]


@pytest.fixture
def images(tmp_path: Path) -> list[Pixels]:
    """The images of the split `packed`."""
    return save_folder(tmp_path / "mine", *SIZES)


@pytest.fixture
def packed(tmp_path: Path, images: list[Pixels]) -> PackedImages:
    return prepare_own(tmp_path / "mine", tmp_path / "data")


def test_hr_is_mod_cropped_and_lr_its_bicubic_reduction(
    packed: PackedImages, images: list[Pixels]
) -> None:
    assert (packed.name, packed.names, len(packed)) == ("mine:all", ("0", "1", "2"), 3)
    for i, image in enumerate(images):
        assert packed.size(i) == mod_crop(image, 4).shape[:2]
        assert np.array_equal(packed.uncropped_hr(i), image)
        assert np.array_equal(packed.hr(i), mod_crop(image, 4))
        assert np.array_equal(packed.lr(i), downscale(image, 4))


def test_images_are_read_only_views_of_files_that_are_opened_at_first_use(
    packed: PackedImages,
) -> None:
    view = packed.hr(1)
    assert not view.flags.owndata
    assert not view.flags.writeable
    (packed.folder / "lr_x4.bin").unlink()
    packed.hr(0)  # does not touch LR


def test_pickling_stores_the_folder_and_not_the_pixels(packed: PackedImages) -> None:
    packed.hr(0)
    content = pickle.dumps(packed)
    assert len(content) < 1000
    assert np.array_equal(pickle.loads(content).hr(2), packed.hr(2))


@pytest.mark.parametrize("name", ["hr.bin", "lr_x4.bin"])
def test_one_wrong_byte_is_noticed_and_the_error_gives_file_and_command(
    packed: PackedImages, name: str
) -> None:
    packed.verify()
    path = packed.folder / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: damaged .*SHA.*train prepare .*mine"):
        PackedImages(packed.folder, 4).verify()


@pytest.mark.parametrize("name", ["hr.bin", "lr_x4.bin"])
def test_a_truncated_or_absent_file_is_noticed_on_opening(packed: PackedImages, name: str) -> None:
    path = packed.folder / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=rf"{name}: damaged"):
        PackedImages(packed.folder, 4)
    path.unlink()
    with pytest.raises(DataError, match=rf"{name}: damaged"):
        PackedImages(packed.folder, 4)


@pytest.mark.parametrize("content", ["", "{}", '{"schema": 2}', '{"schema": 1}', "[1]", "\x00"])
def test_a_damaged_or_foreign_index_is_named(packed: PackedImages, content: str) -> None:
    (packed.folder / "x4.json").write_text(content)
    with pytest.raises(DataError, match=r"x4\.json: .*delete .*prepare it again"):
        PackedImages(packed.folder, 4)
