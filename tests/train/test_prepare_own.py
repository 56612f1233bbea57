"""Preparing one's own images, once."""

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from sr_runtime.errors import ArgumentError
from sr_runtime.resize import downscale
from sr_train.data.packed_dataset import PackedImages
from sr_train.data.prepared import prepared
from tests.train.made_images import SIZE, made_image, prepare_own, save, save_folder, tree


def test_a_folder_of_ones_own_serves_training_and_validation(tmp_path: Path) -> None:
    images = save_folder(tmp_path / "my photos", SIZE, (64, 64))
    prepare_own(tmp_path / "my photos", tmp_path / "data", jobs=2)
    for purpose in ("train", "val"):
        (own,) = prepared("my photos", root=tmp_path / "data", scale=4, purpose=purpose)
        assert own.name == "my photos:all"
        assert (own.hr(1) == images[1]).all()


@pytest.mark.parametrize("layout", ["{kind}/{i}.png", "{i}_{kind}.png"])
def test_given_lr_images_are_kept(tmp_path: Path, layout: str) -> None:
    for i in range(2):
        save(made_image(i, 33, 40), tmp_path / "mine" / layout.format(kind="HR", i=i))
        save(made_image(9 + i, 8, 10), tmp_path / "mine" / layout.format(kind="LR", i=i))
    own = prepare_own(tmp_path / "mine", tmp_path / "data")
    assert (own.lr(1) == made_image(10, 8, 10)).all()
    assert (own.hr(1) == made_image(1, 33, 40)[:32]).all()
    with pytest.raises(ArgumentError, match=r"8×10 pixels.* made for a scale of 2"):
        prepare_own(tmp_path / "mine", tmp_path / "data", scale=2)


def test_gray_images_alone_are_a_gray_data_set(tmp_path: Path) -> None:
    save_folder(tmp_path / "gray", (*SIZE, 1), (*SIZE, 1))
    assert prepare_own(tmp_path / "gray", tmp_path / "data").lr(0).shape == (8, 10, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are Unicode")
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_file_name_may_be_any_bytes(tmp_path: Path, jobs: int) -> None:
    name = os.fsdecode(b"bad\xff")
    for i in range(2):
        save(made_image(i, *SIZE), tmp_path / "mine" / f"{name}{i}.png")
    own = prepare_own(tmp_path / "mine", tmp_path / "data", jobs=jobs)
    assert own.names == (f"{name}0", f"{name}1")
    assert (own.hr(1) == made_image(1, *SIZE)).all()


def test_turned_photos_are_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "mine").mkdir()
    Image.fromarray(made_image(0, 32, 48)).save(tmp_path / "mine/a.jpg", exif=exif)
    assert prepare_own(tmp_path / "mine", tmp_path / "data").size(0) == (48, 32)


def test_what_is_whole_is_not_made_again_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_folder(tmp_path / "mine", SIZE)
    own = prepare_own(tmp_path / "mine", tmp_path / "data")
    before = {path: path.stat().st_mtime_ns for path in own.folder.iterdir()}
    capsys.readouterr()
    prepare_own(tmp_path / "mine", tmp_path / "data")
    assert {path: path.stat().st_mtime_ns for path in own.folder.iterdir()} == before
    assert "already prepared" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["hr.bin", "lr_x4.bin", "x4.json"])
def test_what_is_damaged_is_made_again_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    save_folder(tmp_path / "mine", SIZE)
    own = prepare_own(tmp_path / "mine", tmp_path / "data")
    before = tree(own.folder)
    content = bytearray((own.folder / name).read_bytes())
    content[-1] ^= 1
    (own.folder / name).write_bytes(content)
    prepare_own(tmp_path / "mine", tmp_path / "data")
    assert tree(own.folder) == before
    assert "making it again" in capsys.readouterr().out


def test_another_scale_shares_the_hr_images(tmp_path: Path) -> None:
    (image,) = save_folder(tmp_path / "mine", (33, 47))
    first = prepare_own(tmp_path / "mine", tmp_path / "data")
    hr = first.folder / "hr.bin"
    written = hr.stat().st_mtime_ns
    second = prepare_own(tmp_path / "mine", tmp_path / "data", scale=3, jobs=2)
    assert hr.stat().st_mtime_ns == written
    assert (second.lr(0) == downscale(image, 3)).all()
    assert second.size(0) == (33, 45)
    PackedImages(first.folder, 4).verify()
    second.verify()


def test_new_images_in_the_folder_make_it_again_and_other_scales_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_folder(tmp_path / "mine", SIZE)
    folder = prepare_own(tmp_path / "mine", tmp_path / "data").folder
    save_folder(tmp_path / "mine", SIZE, SIZE)
    assert len(prepare_own(tmp_path / "mine", tmp_path / "data", scale=2)) == 2
    assert "mine:all for a scale of 4 was made from other images" in capsys.readouterr().out
    assert sorted(path.name for path in folder.iterdir()) == ["hr.bin", "lr_x2.bin", "x2.json"]
    with pytest.raises(ArgumentError, match="not prepared for a scale of 4"):
        prepared("mine", root=tmp_path / "data", scale=4, purpose="val")


def test_another_folder_of_the_same_name_is_refused_and_a_moved_one_is_known(
    tmp_path: Path,
) -> None:
    for folder in ("a", "b"):
        save_folder(tmp_path / folder / "HR", SIZE)
    root = tmp_path / "data"
    prepare_own(tmp_path / "a/HR", root)
    before = tree(root)
    for scale in (2, 4):
        with pytest.raises(
            ArgumentError, match=r"HR is prepared from .*a/HR already: rename .*b/HR, or delete"
        ):
            prepare_own(tmp_path / "b/HR", root, scale=scale)
    assert tree(root) == before
    (tmp_path / "a").rename(tmp_path / "c")
    prepare_own(tmp_path / "c/HR", root)
    assert tree(root) == before
