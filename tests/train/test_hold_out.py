"""Holding images of a folder out of the training, to validate with."""

import pickle
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sr_runtime.errors import ArgumentError, DataError
from sr_train.__main__ import main
from sr_train.data.build.prepare import prepare
from sr_train.data.packed_dataset import PackedImages
from sr_train.data.packed_index import Index
from sr_train.data.prepared import prepared
from sr_train.data.stage_data import check_data, data_digest, stage_steps, validation_pairs
from tests.train.made_images import prepare_own, save_folder
from tests.train.test_prepare_bad_data import BAD
from tests.train.training_sets import config

N = 10


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten different images."""
    save_folder(tmp_path / "mine", *[(40, 48)] * N)
    return tmp_path / "mine"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


def parts(root: Path, *, scale: int = 4) -> tuple[PackedImages, PackedImages]:
    """What `mine` means as a training set, and as a validation set."""
    (train,) = prepared("mine", root=root, scale=scale, purpose="train")
    (val,) = prepared("mine", root=root, scale=scale, purpose="val")
    return train, val


def test_training_and_validation_share_the_images_of_a_folder(folder: Path, root: Path) -> None:
    whole = prepare_own(folder, root, hold_out=0.3)
    train, val = parts(root)
    assert (train.name, val.name) == ("mine:train", "mine:val")
    assert (len(train), len(val)) == (7, 3)
    assert sorted(train.names + val.names) == sorted(whole.names)
    for part in (train, val):
        copy = pickle.loads(pickle.dumps(part))  # as for another process
        for i, name in enumerate(part.names):
            place = whole.names.index(name)
            assert (part.hr(i) == whole.hr(place)).all()
            assert (part.lr(i) == whole.lr(place)).all()
            assert (copy.hr(i) == part.hr(i)).all()
    (all_of_them,) = prepared("mine:all", root=root, scale=4, purpose="val")
    assert all_of_them.names == whole.names


def test_a_run_trains_on_one_part_and_validates_on_the_other(folder: Path, root: Path) -> None:
    prepare(folder, root=root, hold_out=0.3)
    settings = config(root, val="mine")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_data(settings)
    assert stage_steps(settings, "pretraining").per_epoch == 2  # of four
    assert len(validation_pairs(settings, "pretraining")) == 3
    everything = config(root, "mine:all", val="mine")
    assert data_digest(everything, "training", "train") != data_digest(
        settings, "training", "train"
    )
    with pytest.warns(RuntimeWarning, match="validates on the same images.*--hold-out"):
        check_data(everything)


def test_the_files_decide_and_not_their_names_so_that_copies_stay_together(
    folder: Path, root: Path, tmp_path: Path
) -> None:
    prepare(folder, root=root, hold_out=0.3)
    other = tmp_path / "other" / "mine"
    other.mkdir(parents=True)
    for path in folder.iterdir():
        for name in (f"z{9 - int(path.stem)}", f"copy{path.stem}"):
            shutil.copyfile(path, other / f"{name}.png")
    prepare(other, root=tmp_path / "again", hold_out=0.3)
    chosen = parts(root)[1].names
    again = parts(tmp_path / "again")[1].names
    assert {*again} == {name for n in chosen for name in (f"z{9 - int(n)}", f"copy{n}")}


def test_another_share_and_another_scale_need_no_second_packing(folder: Path, root: Path) -> None:
    packed = prepare_own(folder, root, hold_out=0.3).folder / "hr.bin"
    before = packed.stat()
    first = parts(root)[1].names
    prepare(folder, root=root, hold_out=0.3, scale=2)
    assert parts(root, scale=2)[1].names == first
    prepare(folder, root=root, hold_out=0.5)
    assert {*first} < {*parts(root)[1].names}
    assert "--hold-out 0.5" in parts(root)[1].index.command
    lines: list[str] = []
    prepare(folder, root=root, report=lines.append)
    assert "none is held out any more" in lines[-1]
    train, val = parts(root)
    assert train.names == val.names
    assert (packed.stat().st_ino, packed.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_images_that_are_left_out_do_not_count(folder: Path, root: Path) -> None:
    bad: list[Callable[[Path], object]] = [BAD[0][0], BAD[-1][0]]  # by its header, and its pixels
    for i, save in enumerate(bad * 5):
        save(folder / f"bad{i}.png")
    lines: list[str] = []
    prepare(folder, root=root, hold_out=0.3, skip_bad=True, report=lines.append)
    assert [len(part) for part in parts(root)] == [7, 3]
    assert "10 images packed; 7 to train on, 3 to validate with" in lines[-1]


@pytest.mark.parametrize("share", [1, -0.1, float("nan")])
def test_a_share_is_below_one(folder: Path, root: Path, share: float) -> None:
    with pytest.raises(ArgumentError, match=r"--hold-out is .*below 1"):
        prepare(folder, root=root, hold_out=share)


def test_a_small_share_is_one_image_and_a_large_one_leaves_one(folder: Path, root: Path) -> None:
    for share, sizes in ((0.001, [9, 1]), (0.999, [1, 9])):
        prepare(folder, root=root, hold_out=share)
        assert [len(part) for part in parts(root)] == sizes


def test_copies_of_one_image_cannot_be_divided(root: Path, tmp_path: Path) -> None:
    save_folder(tmp_path / "mine", (40, 48))
    shutil.copyfile(tmp_path / "mine/0.png", tmp_path / "mine/1.png")
    with pytest.raises(ArgumentError, match=r"2 different images.*there is 1"):
        prepare(tmp_path / "mine", root=root, hold_out=0.3)
    assert not (root / "mine").exists()


def test_known_sets_have_their_own_splits(root: Path) -> None:
    with pytest.raises(ArgumentError, match=r"--hold-out .*bsds500 .*train, val, test"):
        prepare("bsds500", root=root, hold_out=0.3)


def test_messages_tell_how_to_hold_images_out(
    folder: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prepare", str(folder), "--root", str(root), "--jobs", "1"]
    assert main(words) == 0
    with pytest.raises(ArgumentError, match=r"mine has no split 'val': choose all; --hold-out"):
        prepared("mine:val", root=root, scale=4, purpose="val")
    assert main([*words, "--hold-out", "0.3"]) == 0
    assert "checksums verified; 7 to train on, 3 to validate with" in capsys.readouterr().out
    with pytest.raises(ArgumentError, match=r"--scale 2 --hold-out 0\.3`"):
        prepared("mine:val", root=root, scale=2, purpose="val")


def test_an_index_holds_out_only_what_it_has(folder: Path, root: Path) -> None:
    packed = prepare_own(folder, root)
    replace(packed.index, held_out=("elsewhere",)).write(packed.folder)
    with pytest.raises(DataError, match="what is held out is wrong"):
        Index.read(packed.folder / "x4.json")
