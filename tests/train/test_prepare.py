"""Preparing known data sets from a folder that has them."""

import shutil
from pathlib import Path

import pytest

from sr_runtime.errors import ArgumentError
from sr_runtime.image import read
from sr_runtime.resize import downscale
from sr_train.data.build.prepare import prepare
from sr_train.data.prepared import prepared
from tests.train.made_images import SIZE, save_folder


@pytest.mark.slow
def test_lr_of_the_benchmarks_equals_the_official_one(data: Path, tmp_path: Path) -> None:
    for name, count in (("set5", 5), ("set14", 14)):
        # Without the official LR, it is made here.
        for path in (data / name / "x4").glob("*_HR.png"):
            target = tmp_path / name / path.name.replace("_HR", "")
            target.parent.mkdir(exist_ok=True)
            shutil.copy(path, target)
        prepare(name, root=tmp_path / "given", source=data / name)
        prepare(name, root=tmp_path / "made", source=tmp_path / name)
        given, made = (
            prepared(name, root=tmp_path / root, scale=4, purpose="val")[0]
            for root in ("given", "made")
        )
        assert len(given) == len(made) == count
        for i, image in enumerate(given.names):
            official = read(data / name / "x4" / f"{image}_LR.png").frames[0]
            assert (made.lr(i) == official).all()
            assert (given.lr(i) == official).all()
            assert (given.hr(i) == made.hr(i)).all()


def test_a_gray_image_of_a_benchmark_is_read_as_rgb(data: Path, tmp_path: Path) -> None:
    prepare("set14", root=tmp_path, source=data / "set14")
    (set14,) = prepared("set14", root=tmp_path, scale=4, purpose="val")
    hr = set14.hr(set14.names.index("img_003_SRF_4"))
    assert hr.shape[2] == 3
    assert (hr == hr[:, :, :1]).all()


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["", "BSR/BSDS500/data/images"])
def test_bsds500_is_prepared_in_its_official_splits(
    data: Path, tmp_path: Path, layout: str
) -> None:
    source = tmp_path / "source"
    for split, count in (("train", 3), ("val", 2), ("test", 4)):
        (source / layout / split).mkdir(parents=True)
        (source / "BSR/BSDS500/data/groundTruth" / split).mkdir(parents=True)
        for path in sorted((data / "bsds500" / split).iterdir())[:count]:
            shutil.copy(path, source / layout / split)
    root = tmp_path / "data"
    lines: list[str] = []
    path = prepare("bsds500", root=root, source=source, report=lines.append)
    assert path == root / "bsds500"
    assert "bsds500:train: 3 images, where the official split has 200" in lines
    both = prepared("bsds500:train+test", root=root, scale=4, purpose="train")
    assert [len(split) for split in both] == [3, 4]
    assert [split.name for split in both] == ["bsds500:train", "bsds500:test"]
    (val,) = prepared("bsds500", root=root, scale=4, purpose="val")
    first = sorted((data / "bsds500" / "val").iterdir())[0]
    assert (val.uncropped_hr(0) == read(first).frames[0]).all()
    assert (val.lr(0) == downscale(read(first).frames[0], 4)).all()


def test_an_official_folder_may_lack_splits_and_other_folders_are_refused(tmp_path: Path) -> None:
    save_folder(tmp_path / "x" / "DIV2K_valid_HR", SIZE)
    lines: list[str] = []
    prepare("div2k", root=tmp_path / "data", source=tmp_path / "x", report=lines.append)
    assert "div2k:train is not in" in lines[0]
    assert len(prepared("div2k", root=tmp_path / "data", scale=4, purpose="val")[0]) == 1
    with pytest.raises(ArgumentError, match=r"prepare div2k --root .* --scale 4`$"):
        prepared("div2k", root=tmp_path / "data", scale=4, purpose="train")
    save_folder(tmp_path / "y", SIZE)
    with pytest.raises(ArgumentError, match=r"y: .*folder DIV2K_train_HR or DIV2K_valid_HR"):
        prepare("div2k", root=tmp_path / "data", source=tmp_path / "y")
    save_folder(tmp_path / "x" / "copy" / "DIV2K_valid_HR", SIZE)
    with pytest.raises(ArgumentError, match=r"either could be div2k:val"):
        prepare("div2k", root=tmp_path / "data", source=tmp_path / "x")
