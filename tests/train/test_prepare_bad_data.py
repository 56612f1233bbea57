"""Images, folders and names that cannot be prepared."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr_runtime.errors import ArgumentError, DataError, ImageError, OutOfMemoryError, SRError
from sr_train.data.build import decode
from sr_train.data.build.prepare import prepare
from sr_train.data.prepared import prepared
from tests.train.made_images import SIZE, made_image, prepare_own, save, save_folder, tree


def save_alpha(path: Path) -> None:
    Image.fromarray(made_image(0, *SIZE, 4)).save(path)


def save_sixteen_bits(path: Path) -> None:
    Image.fromarray(made_image(0, *SIZE, 1)[:, :, 0].astype(np.uint16) * 257).save(path)


def save_animation(path: Path) -> None:
    frames = [Image.fromarray(made_image(i, *SIZE)) for i in range(2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def save_pages(path: Path) -> None:
    pages = [Image.fromarray(made_image(i, *SIZE)) for i in range(3)]
    pages[0].save(path, "TIFF", save_all=True, append_images=pages[1:])


def save_gray(path: Path) -> None:
    save(made_image(0, *SIZE, 1), path)


def save_text(path: Path) -> None:
    path.write_text("no image")


def save_small(path: Path) -> None:
    save(made_image(0, 3, 40), path)


def save_palette_without_colors(path: Path) -> None:
    Image.fromarray(made_image(0, *SIZE)).quantize().save(path)
    content = path.read_bytes()
    start = content.index(b"PLTE") - 4
    end = start + 12 + int.from_bytes(content[start : start + 4])
    path.write_bytes(content[:start] + content[end:])


def save_truncated(path: Path) -> None:
    save(made_image(0, *SIZE), path)
    path.write_bytes(path.read_bytes()[:-200])


BAD: list[tuple[Callable[[Path], None], type[SRError], str]] = [
    (save_alpha, ImageError, "alpha"),
    (save_sixteen_bits, ImageError, "16 bits"),
    (save_animation, ImageError, "2 frames or pages"),
    (save_pages, ImageError, "3 .*pages"),
    (save_gray, DataError, r"grayscale.*\b1 of 4"),
    (save_text, ImageError, "not an image"),
    (save_small, DataError, "3×40 pixels"),
    (save_palette_without_colors, ImageError, "damaged.*: replace it"),
    (save_truncated, ImageError, "truncated.*: replace it"),
]


@pytest.mark.parametrize(
    ("spoil", "error", "fact", "jobs"),
    # Two processes are started where an image turns out to be damaged when it is decoded.
    [*((*row, 1) for row in BAD), (*BAD[-1], 2)],
    ids=[*(row[0].__name__ for row in BAD), "two processes"],
)
def test_a_bad_image_is_named_and_the_prepared_set_stays_as_it_is(
    tmp_path: Path, spoil: Callable[[Path], None], error: type[SRError], fact: str, jobs: int
) -> None:
    save_folder(tmp_path / "mine", SIZE, SIZE, SIZE)
    prepare_own(tmp_path / "mine", tmp_path / "data")
    before = tree(tmp_path / "data")
    spoil(tmp_path / "mine" / "1b.png")
    with pytest.raises(error, match=rf"1b\.png: .*{fact}"):
        prepare_own(tmp_path / "mine", tmp_path / "data", jobs=jobs)
    assert tree(tmp_path / "data") == before


def test_all_images_that_cannot_be_prepared_are_named_at_once(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    save_folder(folder, SIZE)
    for name, spoil in (("a", save_alpha), ("b", save_text), ("c", save_sixteen_bits)):
        spoil(folder / f"{name}.png")
    facts = r"a\.png: .*alpha.*; 2 other images .*b\.png \(.*\), c\.png \(16 bits"
    with pytest.raises(ImageError, match=facts):
        prepare_own(folder, tmp_path / "data")


def test_an_image_too_large_for_memory_is_named_with_fewer_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(decode, "downscale", fail)
    save_folder(tmp_path / "mine", SIZE)
    with pytest.raises(OutOfMemoryError, match=r"mine/0\.png: .*memory.*--jobs"):
        prepare_own(tmp_path / "mine", tmp_path / "data")
    assert tree(tmp_path / "data") == {}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no FIFOs")
@pytest.mark.parametrize("name", ["hr.bin", "lr_x4.bin", "x4.json"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_fifo_or_folder_in_place_of_a_packed_file_is_named(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    save_folder(tmp_path / "mine", SIZE)
    folder = prepare_own(tmp_path / "mine", tmp_path / "data").folder
    (folder / name).unlink()
    make(folder / name)
    with pytest.raises(DataError, match=rf"{name}: is not a regular file: remove it"):
        prepare_own(tmp_path / "mine", tmp_path / "data")


def test_a_pair_of_unfitting_sizes_is_named(tmp_path: Path) -> None:
    save(made_image(0, 32, 40), tmp_path / "mine" / "a_HR.png")
    save(made_image(0, 8, 11), tmp_path / "mine" / "a_LR.png")
    with pytest.raises(DataError, match=r"a_LR\.png: 8×11 pixels.*32×40.*8×10"):
        prepare_own(tmp_path / "mine", tmp_path / "data")


def test_a_scale_too_large_for_most_images_is_named_and_not_the_images(tmp_path: Path) -> None:
    save_folder(tmp_path / "mine", SIZE, (30, 200), (200, 200))
    with pytest.raises(
        ArgumentError, match=r"^--scale 100 is too large for 2 of 3 images.*smallest .*30×200"
    ):
        prepare_own(tmp_path / "mine", tmp_path / "data", scale=100)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("below", ["b", "HR"])
def test_a_folder_above_those_with_images_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "mine" / "a").mkdir(parents=True)
    save_folder(tmp_path / "mine" / below, SIZE)
    with pytest.raises(ArgumentError, match=rf"mine: .*subfolders.* as .*mine/{below}$"):
        prepare_own(tmp_path / "mine", tmp_path / "data")


def test_an_image_that_cannot_be_decoded_leaves_no_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    save_truncated(tmp_path / "mine" / "0.png")
    with pytest.raises(ImageError):
        prepare_own(tmp_path / "mine", tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_empty_folders_and_wrong_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a:b").mkdir()
    (tmp_path / "set5").mkdir()
    for item, words in (
        (str(tmp_path / "a:b"), "rename the folder"),
        (str(tmp_path / "set5"), "rename the folder"),
        ("", "neither a folder"),
        ("bsds50", "did you mean bsds500"),
        ("DIV2K", "did you mean div2k"),
    ):
        with pytest.raises(ArgumentError, match=words):
            prepare(item, root=tmp_path / "data")
    with pytest.raises(DataError, match=r"empty: .* no images"):
        prepare(str(tmp_path / "empty"), root=tmp_path / "data")
    with pytest.raises(ArgumentError, match=r"empty: a folder of your own takes no --from"):
        prepare(str(tmp_path / "empty"), root=tmp_path, source=tmp_path)
    with pytest.raises(ArgumentError, match=r"scale is 0.* at least 1"):
        prepare("set5", root=tmp_path, scale=0)
    with pytest.raises(ArgumentError, match=r"jobs is 0.* at least 1"):
        prepare("set5", root=tmp_path, jobs=0)
    with pytest.raises(ArgumentError, match="nowhere: not a folder"):
        prepare("set5", root=tmp_path, source=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("specification", "purpose", "words"),
    [
        ("bsds500", "train", r"bsds500:train is not prepared .*sr_train prepare bsds500 --root"),
        ("bsds500:dev", "train", "bsds500 .* 'dev': .*train or val or test"),
        ("flickr2k", "val", "flickr2k has no split for validation"),
        ("set5", "train", "set5 has no split for training"),
        ("bsds500:", "train", "bsds500 .* '': .*train or val or test"),
        ("bsds500:train+val+train", "train", "names a split twice"),
        ("photos", "train", r"prepare FOLDER/photos .*not a known data set"),
        ("photos:train", "train", r"photos:all is not prepared .*prepare FOLDER/photos"),
        ("dvi2k", "train", "did you mean div2k"),
    ],
)
def test_a_set_that_is_not_prepared_is_refused_with_the_command_that_prepares_it(
    tmp_path: Path, specification: str, purpose: Any, words: str
) -> None:
    with pytest.raises(ArgumentError, match=words):
        prepared(specification, root=tmp_path, scale=4, purpose=purpose)


def test_the_command_for_another_scale_names_the_source(tmp_path: Path) -> None:
    root, mine, given = tmp_path / "data", tmp_path / "mine", tmp_path / "given"
    for folder in (mine, given):
        save_folder(folder, SIZE)
    prepare_own(mine, root)
    with pytest.raises(ArgumentError, match=rf"prepare {mine} --root {root} --scale 2`$"):
        prepared("mine", root=root, scale=2, purpose="train")
    prepare("set5", root=root, source=given)
    with pytest.raises(
        ArgumentError, match=rf"prepare set5 --root {root} --scale 2 --from {given}`$"
    ):
        prepared("set5", root=root, scale=2, purpose="val")
    prepare("set5", root=root, source=given, scale=2)  # as the message says


def test_a_folder_is_refused_with_the_name_that_it_will_have(tmp_path: Path) -> None:
    save_folder(tmp_path / "photos", SIZE)
    with pytest.raises(
        ArgumentError, match=r"is a folder.*sr_train prepare .*/photos --root .*name it photos$"
    ):
        prepared(str(tmp_path / "photos"), root=tmp_path / "data", scale=4, purpose="train")


def test_a_prepared_set_may_have_the_name_of_an_existing_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_folder(tmp_path / "photos", SIZE)
    monkeypatch.chdir(tmp_path)
    prepare_own(Path("photos"), Path("data"))
    assert len(prepared("photos", root=Path("data"), scale=4, purpose="train")[0]) == 1
