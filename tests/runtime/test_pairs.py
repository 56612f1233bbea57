"""Data set folders of every layout."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_runtime.errors import ArgumentError, DataError
from sr_runtime.evaluation.pairs import Pair, find_pairs
from sr_runtime.resize import downscale


def save(path: Path, height: int = 8, width: int = 12, mode: str = "RGB") -> Path:
    path.parent.mkdir(exist_ok=True)
    shape = (height, width) if mode == "L" else (height, width, 3)
    pixels = np.random.default_rng(height).integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def test_files_beside_each_other_are_paired_by_their_ending(tmp_path: Path) -> None:
    hr, lr = save(tmp_path / "b_HR.png"), save(tmp_path / "b_LR.png")
    other_hr, other_lr = save(tmp_path / "a_HR.png"), save(tmp_path / "a_LR.jpg")
    assert find_pairs(tmp_path) == [Pair("a", other_hr, other_lr), Pair("b", hr, lr)]


def test_files_in_two_folders_are_paired_by_their_name(tmp_path: Path) -> None:
    hr, lr = save(tmp_path / "HR" / "baby.png"), save(tmp_path / "LR" / "baby.png")
    assert find_pairs(tmp_path) == [Pair("baby", hr, lr)]


def test_images_alone_are_high_resolution(tmp_path: Path) -> None:
    hr = save(tmp_path / "0801.PNG")
    (tmp_path / "README.md").write_text("not an image")
    assert find_pairs(str(tmp_path)) == [Pair("0801", hr, None)]


def test_a_missing_low_resolution_image_is_made_as_the_benchmarks_are(tmp_path: Path) -> None:
    path = save(tmp_path / "odd.png", height=43, width=62)
    lr, hr = Pair("odd", path, None).read(4)
    pixels = np.asarray(Image.open(path))
    np.testing.assert_array_equal(hr, pixels[:40, :60])
    np.testing.assert_array_equal(lr, downscale(pixels, 4))


def test_a_stored_low_resolution_image_is_taken_as_it_is(tmp_path: Path) -> None:
    hr = save(tmp_path / "a_HR.png", height=43, width=62)
    lr = save(tmp_path / "a_LR.png", height=10, width=15)
    made = Pair("a", hr, lr).read(4)
    np.testing.assert_array_equal(made[0], np.asarray(Image.open(lr)))
    np.testing.assert_array_equal(made[1], np.asarray(Image.open(hr))[:40, :60])


def test_gray_images_have_one_channel(tmp_path: Path) -> None:
    lr, hr = Pair("gray", save(tmp_path / "gray.png", mode="L"), None).read(2)
    assert lr.shape == (4, 6, 1)
    assert hr.shape == (8, 12, 1)


def test_a_pair_of_another_scale_is_refused(tmp_path: Path) -> None:
    hr, lr = save(tmp_path / "a_HR.png"), save(tmp_path / "a_LR.png", height=4, width=6)
    with pytest.raises(
        DataError, match=r"8×12 pixels are not 4 times .*4×6.* scale of 4"
    ) as caught:
        Pair("a", hr, lr).read(4)
    assert caught.value.path == hr


def test_an_image_without_its_partner_is_named(tmp_path: Path) -> None:
    save(tmp_path / "a_HR.png")
    save(tmp_path / "a_LR.png")
    save(tmp_path / "b_HR.png")
    with pytest.raises(DataError, match=r"b_HR\.png: .*no LR image"):
        find_pairs(tmp_path)


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"a\.png: .* name with a\.jpg"):
        find_pairs(tmp_path)


def test_an_lr_image_may_be_named_with_its_scale(tmp_path: Path) -> None:
    hr = [save(tmp_path / "HR" / name) for name in ("0001.png", "0002x4.png", "0003.png")]
    lr = [save(tmp_path / "LR" / name) for name in ("0001x4.png", "0002x4.png", "0003X4.png")]
    assert find_pairs(tmp_path) == [
        Pair(name, *files)
        for name, files in zip(("0001", "0002x4", "0003"), zip(hr, lr, strict=True), strict=True)
    ]
    save(tmp_path / "LR" / "0001x2.png")
    with pytest.raises(DataError, match=r"0001x4\.png: .* name with 0001x2\.png"):
        find_pairs(tmp_path)


def test_all_files_that_are_in_no_pair_are_named_at_once(tmp_path: Path) -> None:
    for name in ("HR/a.png", "LR/a.png", "HR/b.png", "LR/B.png", "HR/c.png", "HR/c.bmp"):
        save(tmp_path / name)
    (tmp_path / "LR" / "d.png").mkdir()
    (tmp_path / "HR" / "._a.png").write_bytes(b"what macOS writes on other disks")
    with pytest.raises(DataError, match="4 other images") as caught:
        find_pairs(tmp_path)
    for fact in (
        "c.png: it shares", "d.png (it is not a regular file)", "B.png (it has no HR image)",
        "b.png (it has no LR image)", "c.bmp (it has no LR image)",
    ):  # fmt: skip
        assert fact in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFOs")
def test_a_fifo_and_a_broken_link_are_not_waited_for(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "c.png").symlink_to("nowhere.png")
    with pytest.raises(DataError, match=r"b\.png: .*another image is unfit too: c\.png \("):
        find_pairs(tmp_path)


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images") as caught:
        find_pairs(tmp_path)
    assert caught.value.path == tmp_path
    with pytest.raises(ArgumentError, match="not a folder") as absent:
        find_pairs(tmp_path / "absent")
    assert absent.value.path == tmp_path / "absent"
