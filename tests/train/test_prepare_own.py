"""Preparing a folder of the user's own images."""

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from sr_runtime.errors import ArgumentError, DataError
from sr_runtime.resize import downscale
from sr_train.data.build.prepare import prepare
from sr_train.data.packed_dataset import PackedImages
from sr_train.data.prepared import prepared
from tests.train.made_images import SIZE, made_image, prepare_own, save, save_folder, tree


def test_a_prepared_folder_serves_training_and_validation(tmp_path: Path) -> None:
    images = save_folder(tmp_path / "my photos", SIZE, (64, 64))
    prepare_own(tmp_path / "my photos", tmp_path / "data")
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
    with pytest.raises(DataError, match=r"LR.*8×10 pixels.*33×40.*16×20.* scale of 2"):
        prepare_own(tmp_path / "mine", tmp_path / "data", scale=2)


def test_what_a_folder_holds_besides_is_reported(tmp_path: Path) -> None:
    for kind, size in (("HR", (32, 40)), ("LR", (8, 10))):
        save(made_image(0, *size), tmp_path / "mine" / f"a_{kind}.png")
    save(made_image(0, *SIZE), tmp_path / "mine" / "holiday.png")
    (tmp_path / "mine" / "2024").mkdir()
    for name in ("notes.txt", "b.dng", ".hidden"):
        (tmp_path / "mine" / name).touch()
    lines: list[str] = []
    own = prepare_own(tmp_path / "mine", tmp_path / "data", report=lines.append)
    assert own.names == ("a",)
    assert lines[0].startswith("mine: left out: ")
    for fact in ("1 image in no pair", "1 subfolder", "1 .txt", "1 .dng"):
        assert fact in lines[0]
    assert "hidden" not in lines[0]


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


def test_photos_are_stored_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "mine").mkdir()
    Image.fromarray(made_image(0, 32, 48)).save(tmp_path / "mine/a.jpg", exif=exif)
    assert prepare_own(tmp_path / "mine", tmp_path / "data").size(0) == (48, 32)


def test_an_undamaged_set_is_not_made_again_and_that_is_reported(tmp_path: Path) -> None:
    save_folder(tmp_path / "mine", SIZE)
    own = prepare_own(tmp_path / "mine", tmp_path / "data")
    before = {path: path.stat().st_mtime_ns for path in own.folder.iterdir()}
    lines: list[str] = []
    prepare_own(tmp_path / "mine", tmp_path / "data", report=lines.append)
    assert {path: path.stat().st_mtime_ns for path in own.folder.iterdir()} == before
    assert ["already prepared" in line for line in lines] == [True]


def test_without_a_report_it_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for sizes in ([SIZE], [SIZE, SIZE]):
        save_folder(tmp_path / "mine", *sizes)
        for scale in (4, 4, 2):
            prepare(tmp_path / "mine", root=tmp_path / "data", scale=scale)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["hr.bin", "lr_x4.bin", "x4.json"])
def test_a_damaged_set_is_made_again_and_that_is_reported(tmp_path: Path, name: str) -> None:
    save_folder(tmp_path / "mine", SIZE)
    own = prepare_own(tmp_path / "mine", tmp_path / "data")
    before = tree(own.folder)
    content = bytearray((own.folder / name).read_bytes())
    content[-1] ^= 1
    (own.folder / name).write_bytes(content)
    lines: list[str] = []
    prepare_own(tmp_path / "mine", tmp_path / "data", report=lines.append)
    assert tree(own.folder) == before
    assert "making it again" in lines[0]
    assert name in lines[0]


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


def test_new_images_in_the_folder_make_it_again_and_remove_other_scales(tmp_path: Path) -> None:
    save_folder(tmp_path / "mine", SIZE)
    folder = prepare_own(tmp_path / "mine", tmp_path / "data").folder
    save_folder(tmp_path / "mine", SIZE, SIZE)
    lines: list[str] = []
    own = prepare_own(tmp_path / "mine", tmp_path / "data", scale=2, report=lines.append)
    assert len(own) == 2
    assert "mine:all for a scale of 4 was made from other images" in lines[0]
    assert sorted(path.name for path in folder.iterdir()) == ["hr.bin", "lr_x2.bin", "x2.json"]
    with pytest.raises(ArgumentError, match="not prepared for a scale of 4"):
        prepared("mine", root=tmp_path / "data", scale=4, purpose="val")


def test_another_folder_of_the_same_name_is_refused_and_a_moved_one_is_recognised(
    tmp_path: Path,
) -> None:
    for folder in ("a", "b"):
        save_folder(tmp_path / folder / "HR", SIZE)
    root = tmp_path / "data"
    prepare_own(tmp_path / "a/HR", root)
    before = tree(root)
    for scale in (2, 4):
        with pytest.raises(
            ArgumentError, match=r"HR .*prepared from .*a/HR: rename .*b/HR, or delete .*data/HR$"
        ):
            prepare_own(tmp_path / "b/HR", root, scale=scale)
    assert tree(root) == before
    (tmp_path / "a").rename(tmp_path / "c")
    prepare_own(tmp_path / "c/HR", root)
    assert tree(root) == before
