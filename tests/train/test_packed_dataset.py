"""Packed images equal the source images, and damage is noticed and named."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from sr_runtime.errors import DataError
from sr_runtime.resize import downscale, mod_crop
from sr_train.data.packed_dataset import PackedImages
from sr_train.data.prepared import prepared
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


def change_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


def opened(images: PackedImages) -> list[PackedImages]:
    """As a configuration that names the set opens it."""
    return prepared("mine", root=images.folder.parents[1], scale=4, purpose="train")


@pytest.mark.parametrize("name", ["hr.bin", "lr_x4.bin"])
def test_a_file_written_since_it_was_packed_is_checked_before_it_is_trained_on(
    packed: PackedImages, name: str
) -> None:
    opened(packed)
    change_a_byte(packed.folder / name)
    with pytest.raises(DataError, match=rf"{name}: damaged .*SHA.*train prepare .*mine"):
        opened(packed)


def test_a_copy_is_checked_until_it_is_prepared_once_more(
    packed: PackedImages, tmp_path: Path
) -> None:
    path = packed.folder / "hr.bin"
    os.utime(path, ns=(0, 0))
    assert opened(packed)[0].index.hr.mtime_ns != 0
    prepare_own(tmp_path / "mine", tmp_path / "data")
    assert opened(packed)[0].index.hr.mtime_ns == 0
    change_a_byte(path)
    os.utime(path, ns=(0, 0))
    opened(packed)  # at every start the lengths and times are compared, and not every byte
    lines: list[str] = []
    prepare_own(tmp_path / "mine", tmp_path / "data", report=lines.append)  # here every byte is
    assert "making it again" in lines[0]
