"""Preparing: layouts, official archives from a server of our own, bad data, interruptions."""

import contextlib
import hashlib
import http.server
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sr_runtime.errors import ArgumentError, ImageError
from sr_runtime.image import read
from sr_runtime.resize import downscale
from sr_train.data import catalogue
from sr_train.data.archives import Archive
from sr_train.data.catalogue import DATASETS
from sr_train.data.packed import PackedImages
from sr_train.data.prepare import prepare
from sr_train.data.prepared import prepared
from sr_train.lock import LOCK, only_process_in
from tests.train.made_images import made_image, save, save_folder

SIZE = (32, 40)


def prepare_own(folder: Path, root: Path, scale: int = 4, jobs: int = 1) -> PackedImages:
    path = prepare(str(folder), root=root, source=None, scale=scale, jobs=jobs)
    return PackedImages(path / "all", scale)


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != LOCK
    }


# Known data sets, as they lie in a folder


def test_lr_of_the_benchmarks_equals_the_official_one(data: Path, tmp_path: Path) -> None:
    for name, count in (("set5", 5), ("set14", 14)):
        # Without the official LR, it is made here.
        for path in (data / name / "x4").glob("*_HR.png"):
            target = tmp_path / name / path.name.replace("_HR", "")
            target.parent.mkdir(exist_ok=True)
            shutil.copy(path, target)
        prepare(name, root=tmp_path / "given", source=data / name, scale=4, jobs=1)
        prepare(name, root=tmp_path / "made", source=tmp_path / name, scale=4, jobs=1)
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
    prepare("set14", root=tmp_path, source=data / "set14", scale=4, jobs=1)
    (set14,) = prepared("set14", root=tmp_path, scale=4, purpose="val")
    hr = set14.hr(set14.names.index("img_003_SRF_4"))
    assert hr.shape[2] == 3
    assert (hr == hr[:, :, :1]).all()


@pytest.mark.parametrize("layout", ["", "BSR/BSDS500/data/images"])
def test_bsds500_comes_in_its_official_splits(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], layout: str
) -> None:
    source = tmp_path / "source"
    for split, count in (("train", 3), ("val", 2), ("test", 4)):
        (source / layout / split).mkdir(parents=True)
        (source / "BSR/BSDS500/data/groundTruth" / split).mkdir(parents=True)
        for path in sorted((data / "bsds500" / split).iterdir())[:count]:
            shutil.copy(path, source / layout / split)
    root = tmp_path / "data"
    assert prepare("bsds500", root=root, source=source, scale=4, jobs=2) == root / "bsds500"
    assert "bsds500:train: 3 images, where the official split has 200" in capsys.readouterr().out
    both = prepared("bsds500:train+test", root=root, scale=4, purpose="train")
    assert [len(split) for split in both] == [3, 4]
    assert [split.name for split in both] == ["bsds500:train", "bsds500:test"]
    (val,) = prepared("bsds500", root=root, scale=4, purpose="val")
    first = sorted((data / "bsds500" / "val").iterdir())[0]
    assert (val.uncropped_hr(0) == read(first).frames[0]).all()
    assert (val.lr(0) == downscale(read(first).frames[0], 4)).all()


def test_an_official_folder_may_lack_splits_and_other_folders_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_folder(tmp_path / "x" / "DIV2K_valid_HR", SIZE)
    prepare("div2k", root=tmp_path / "data", source=tmp_path / "x", scale=4, jobs=1)
    assert "div2k:train is not in" in capsys.readouterr().out
    assert len(prepared("div2k", root=tmp_path / "data", scale=4, purpose="val")[0]) == 1
    with pytest.raises(ArgumentError, match=r"prepare div2k --root .* --scale 4`$"):
        prepared("div2k", root=tmp_path / "data", scale=4, purpose="train")
    save_folder(tmp_path / "y", SIZE)
    with pytest.raises(ArgumentError, match=r"no folder DIV2K_train_HR or DIV2K_valid_HR"):
        prepare("div2k", root=tmp_path / "data", source=tmp_path / "y", scale=4, jobs=1)
    save_folder(tmp_path / "x" / "copy" / "DIV2K_valid_HR", SIZE)
    with pytest.raises(ArgumentError, match=r"either could be div2k:val"):
        prepare("div2k", root=tmp_path / "data", source=tmp_path / "x", scale=4, jobs=1)


# Known data sets, from their addresses


@pytest.fixture
def site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Path]:
    """The folder of a server that stands for all official ones; by default, of their digests no
    one is published."""
    keeps_digests = getattr(request, "param", False)
    folder = tmp_path / "site"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:

        def moved(archive: Archive) -> Archive:
            return replace(
                archive,
                url=f"http://127.0.0.1:{server.server_port}/{archive.name}",
                digest=archive.digest if keeps_digests else None,
            )

        here = {
            name: replace(
                dataset,
                splits={
                    split: replace(published, archive=moved(published.archive))
                    for split, published in dataset.splits.items()
                },
            )
            for name, dataset in catalogue.DATASETS.items()
        }
        monkeypatch.setattr("sr_train.data.prepare.DATASETS", here)
        monkeypatch.setattr("sr_train.data.prepared.DATASETS", here)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder
        server.shutdown()
        thread.join()


def png(seed: int, size: tuple[int, int] = SIZE) -> bytes:
    content = io.BytesIO()
    Image.fromarray(made_image(seed, *size)).save(content, "PNG")
    return content.getvalue()


def write_zip(path: Path, members: Mapping[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def write_tar(path: Path, members: Mapping[str, bytes]) -> None:
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_archives_are_fetched_unpacked_recorded_and_checked_ever_after(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = {f"Flickr2K/Flickr2K_HR/{i}.png": png(i) for i in range(3)}
    junk = {"Flickr2K/Flickr2K_LR/9.png": png(9), "Flickr2K/Flickr2K_HR/._0.png": b"junk"}
    write_tar(site / "Flickr2K.tar", members | junk)
    root = tmp_path / "data"
    prepare("flickr2k", root=root, source=None, scale=4, jobs=1)
    (train,) = prepared("flickr2k", root=root, scale=4, purpose="train")
    assert train.names == ("0", "1", "2")
    assert (train.uncropped_hr(2) == made_image(2, *SIZE)).all()
    assert "no checksum is published" in capsys.readouterr().out
    sha256 = hashlib.sha256((site / "Flickr2K.tar").read_bytes()).hexdigest()
    assert tree(root / "downloads") == {
        "Flickr2K.tar": (site / "Flickr2K.tar").read_bytes(),
        "Flickr2K.tar.sha256": f"{sha256}  Flickr2K.tar\n".encode(),
    }

    (root / "downloads/Flickr2K.tar").unlink()
    write_tar(site / "Flickr2K.tar", members)
    prepare("flickr2k", root=root, source=None, scale=4, jobs=1)  # whole: nothing is fetched
    shutil.rmtree(root / "flickr2k")
    with pytest.raises(ArgumentError, match=r"Flickr2K.tar.* has sha256 .* and not .*kept in"):
        prepare("flickr2k", root=root, source=None, scale=4, jobs=1)


def test_zip_and_compressed_tar_are_unpacked_in_their_official_layout(
    site: Path, tmp_path: Path
) -> None:
    for name in ("train", "valid"):
        write_zip(site / f"DIV2K_{name}_HR.zip", {f"DIV2K_{name}_HR/0001.png": png(1)})
    images = "BSR/BSDS500/data/images"
    write_tar(
        site / "BSR_bsds500.tgz",
        {
            f"{images}/{split}/{split}.png": png(i)
            for i, split in enumerate(["train", "val", "test"])
        }
        | {f"{images}/train/Thumbs.db": b"", "BSR/BSDS500/data/groundTruth/train/1.mat": b""},
    )
    hr, root = made_image(7, 32, 40), tmp_path / "data"
    official_lr = made_image(8, 8, 10)  # not what bicubic makes of it: to be taken all the same
    for path, image in (("hr.png", hr), ("lr.png", official_lr)):
        save(image, tmp_path / path)
    write_zip(
        site / "Set5.zip",
        {
            f"Set5/image_SRF_{scale}/img_001_SRF_{scale}_{kind}.png": content
            for scale in (2, 4)
            for kind, content in (
                ("HR", (tmp_path / "hr.png").read_bytes()),
                ("LR", (tmp_path / "lr.png").read_bytes()),
                ("bicubic", png(9)),
            )
        },
    )
    for name in ("div2k", "bsds500", "set5"):
        prepare(name, root=root, source=None, scale=4, jobs=1)
    for specification in ("div2k:train+val", "bsds500:train+val+test"):
        splits = prepared(specification, root=root, scale=4, purpose="train")
        assert [len(split) for split in splits] == [1] * len(splits)
    (set5,) = prepared("set5", root=root, scale=4, purpose="val")
    assert set5.names == ("img_001_SRF_4",)
    assert (set5.lr(0) == official_lr).all()


@pytest.mark.parametrize(
    ("dataset", "archive"),
    [("flickr2k", "Flickr2K.tar"), ("bsds500", "BSR_bsds500.tgz"), ("set5", "Set5.zip")],
)
@pytest.mark.parametrize("damage", ["cut", "changed", "a web page"])
def test_a_damaged_archive_is_named(
    site: Path, tmp_path: Path, dataset: str, archive: str, damage: str
) -> None:
    write = write_zip if archive.endswith("zip") else write_tar
    folder = {"flickr2k": "Flickr2K_HR", "bsds500": "train", "set5": "image_SRF_4"}[dataset]
    write(site / archive, {f"{folder}/0.png": png(0)})
    content = bytearray((site / archive).read_bytes())
    content[1000] ^= 1
    damaged = {"cut": content[:800], "changed": content, "a web page": b"<html>"}[damage]
    (site / archive).write_bytes(damaged)
    words = rf"downloads/{archive} is damaged .*: delete it and prepare the data set again$"
    if damage == "changed" and dataset != "set5":  # tar has no checksums of its members
        words = (
            rf"downloads/{archive} holds an image that cannot be prepared "
            rf"\({folder}/0\.png: .*\): delete the archive and prepare the data set again$"
        )
    with pytest.raises(ArgumentError, match=words):
        prepare(dataset, root=tmp_path / "data", source=None, scale=4, jobs=1)
    assert not list((tmp_path / "data").rglob("*.bin"))

    # The right one is welcome then.
    (tmp_path / "data/downloads" / archive).unlink()
    (site / archive).unlink()
    write(site / archive, {f"{folder}/{split}.png": png(0) for split in range(2)})
    with contextlib.suppress(ArgumentError):  # of BSDS500 the other splits are missing
        prepare(dataset, root=tmp_path / "data", source=None, scale=4, jobs=1)
    assert len(list((tmp_path / "data").rglob("x4.json"))) == 1


@pytest.mark.parametrize("site", [True], indirect=True)
def test_another_archive_than_the_published_one_is_refused(site: Path, tmp_path: Path) -> None:
    write_tar(site / "BSR_bsds500.tgz", {"train/0.png": png(0)})
    with pytest.raises(ArgumentError, match=r"has md5 .* and not 0b17383ff0b21fe43d2f28e624203169"):
        prepare("bsds500", root=tmp_path / "data", source=None, scale=4, jobs=1)
    assert not list((tmp_path / "data").rglob("*.bin"))


def test_a_damaged_record_of_a_checksum_is_named(site: Path, tmp_path: Path) -> None:
    write_tar(site / "Flickr2K.tar", {"Flickr2K_HR/0.png": png(0)})
    record = tmp_path / "data/downloads/Flickr2K.tar.sha256"
    record.parent.mkdir(parents=True)
    record.write_bytes(b"\xff" * 64)
    with pytest.raises(ArgumentError, match=r"Flickr2K\.tar\.sha256 is damaged.*: delete it"):
        prepare("flickr2k", root=tmp_path / "data", source=None, scale=4, jobs=1)


def test_a_part_that_was_given_is_made_anew_from_the_official_archive(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, source = tmp_path / "data", tmp_path / "part"
    save_folder(source, SIZE, SIZE)
    prepare("set5", root=root, source=source, scale=4, jobs=1)
    assert "set5:test: 2 images, where the official split has 5" in capsys.readouterr().out
    write_zip(site / "Set5.zip", {f"x4/{i}.png": png(9 + i) for i in range(5)})
    prepare("set5", root=root, source=None, scale=4, jobs=1)
    said = capsys.readouterr().out
    assert f"making it again: 2 images of {source}, where the official split has 5" in said
    (set5,) = prepared("set5", root=root, scale=4, purpose="val")
    assert (set5.hr(0) == made_image(9, *SIZE)).all()
    prepare("set5", root=root, source=None, scale=4, jobs=1)
    assert "already prepared" in capsys.readouterr().out


def test_a_whole_set_that_was_given_is_not_fetched(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_folder(tmp_path / "whole", *[SIZE] * 5)
    prepare("set5", root=tmp_path / "data", source=tmp_path / "whole", scale=4, jobs=1)
    assert "official" not in capsys.readouterr().out
    prepare("set5", root=tmp_path / "data", source=None, scale=4, jobs=1)
    assert "already prepared" in capsys.readouterr().out


def test_a_larger_set_than_the_official_one_is_refused(tmp_path: Path) -> None:
    save_folder(tmp_path / "set14", *[SIZE] * 6)
    with pytest.raises(ArgumentError, match=r"set14 has 6 images for set5:test, where .* has 5"):
        prepare("set5", root=tmp_path / "data", source=tmp_path / "set14", scale=4, jobs=1)
    assert tree(tmp_path / "data") == {}


def test_an_archive_cannot_write_outside_its_folder(site: Path, tmp_path: Path) -> None:
    write_tar(site / "Flickr2K.tar", {"../../../Flickr2K_HR/0.png": png(0)})
    with pytest.raises(ArgumentError, match=r"Flickr2K.tar is damaged .*outside"):
        prepare("flickr2k", root=tmp_path / "data", source=None, scale=4, jobs=1)
    assert not list(tmp_path.rglob("0.png"))


def test_an_address_that_does_not_answer_names_file_and_place(site: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"404 .*put it at .*downloads/Flickr2K\.tar$"):
        prepare("flickr2k", root=tmp_path / "data", source=None, scale=4, jobs=1)


def test_the_known_digests_and_splits_are_the_published_ones() -> None:
    images = {
        name: [split.images for split in dataset.splits.values()]
        for name, dataset in DATASETS.items()
    }
    assert images == {
        "div2k": [800, 100],
        "flickr2k": [2650],
        "bsds500": [200, 100, 200],
        "set5": [5],
        "set14": [14],
    }
    digests = {}
    for dataset in DATASETS.values():
        for split in dataset.splits.values():
            assert split.archive.url.startswith("https://")
            digests[split.archive.name] = split.archive.digest
    assert digests == {
        "DIV2K_train_HR.zip": "md5:bdc2d9338d4e574fe81bf7d158758658",
        "DIV2K_valid_HR.zip": "md5:9fcdda83005c5e5997799b69f955ff88",
        "BSR_bsds500.tgz": "md5:0b17383ff0b21fe43d2f28e624203169",
        "Flickr2K.tar": None,
        "Set5.zip": None,
        "Set14.zip": None,
    }


# One's own images


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


# Prepared once


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


# Bad data


def save_alpha(path: Path) -> None:
    Image.fromarray(made_image(0, *SIZE, 4)).save(path)


def save_sixteen_bits(path: Path) -> None:
    Image.fromarray(made_image(0, *SIZE, 1)[:, :, 0].astype(np.uint16) * 257).save(path)


def save_animation(path: Path) -> None:
    frames = [Image.fromarray(made_image(i, *SIZE)) for i in range(2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def save_gray(path: Path) -> None:
    save(made_image(0, *SIZE, 1), path)


def save_text(path: Path) -> None:
    path.write_text("no image")


def save_small(path: Path) -> None:
    save(made_image(0, 3, 40), path)


def save_truncated(path: Path) -> None:
    save(made_image(0, *SIZE), path)
    path.write_bytes(path.read_bytes()[:-200])


BAD = [
    (save_alpha, "alpha"),
    (save_sixteen_bits, "16 bits"),
    (save_animation, "2 frames"),
    (save_gray, "grayscale"),
    (save_text, "no image"),
    (save_small, "3×40 pixels"),
    (save_truncated, "image file is truncated.*: replace or remove it$"),
]


@pytest.mark.parametrize(("spoil", "what"), BAD, ids=[spoil.__name__ for spoil, _ in BAD])
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bad_image_is_named_and_what_was_prepared_stays(
    tmp_path: Path, spoil: Any, what: str, jobs: int
) -> None:
    save_folder(tmp_path / "mine", SIZE, SIZE, SIZE)
    prepare_own(tmp_path / "mine", tmp_path / "data")
    before = tree(tmp_path / "data")
    spoil(tmp_path / "mine" / "1b.png")
    with pytest.raises((ArgumentError, ImageError), match=rf"1b\.png: .*{what}"):
        prepare_own(tmp_path / "mine", tmp_path / "data", jobs=jobs)
    assert tree(tmp_path / "data") == before


def test_pairs_that_do_not_match_are_named(tmp_path: Path) -> None:
    save(made_image(0, 32, 40), tmp_path / "mine" / "a_HR.png")
    save(made_image(0, 8, 11), tmp_path / "mine" / "a_LR.png")
    with pytest.raises(ArgumentError, match=r"a_LR\.png: 8×11 pixels.*32×40.*8×10"):
        prepare_own(tmp_path / "mine", tmp_path / "data")


def test_a_scale_that_is_too_large_is_named_and_not_the_images(tmp_path: Path) -> None:
    save_folder(tmp_path / "mine", SIZE, (30, 200), (200, 200))
    with pytest.raises(
        ArgumentError, match=r"^--scale 100 is too large for 2 of 3 images.*smallest has 30×200"
    ):
        prepare_own(tmp_path / "mine", tmp_path / "data", scale=100)
    assert sorted(path.name for path in (tmp_path / "data").rglob("*")) == [LOCK, "mine"]


@pytest.mark.parametrize("below", ["b", "HR"])
def test_a_folder_above_those_with_images_is_refused(tmp_path: Path, below: str) -> None:
    (tmp_path / "mine" / "a").mkdir(parents=True)
    save_folder(tmp_path / "mine" / below, SIZE)
    with pytest.raises(ArgumentError, match=rf"subfolders hold some: .* as .*mine/{below}$"):
        prepare_own(tmp_path / "mine", tmp_path / "data")


def test_an_image_that_cannot_be_decoded_leaves_no_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    save_truncated(tmp_path / "mine" / "0.png")
    with pytest.raises(ImageError):
        prepare_own(tmp_path / "mine", tmp_path / "data")
    assert sorted(path.name for path in (tmp_path / "data").rglob("*")) == [LOCK, "mine"]


def test_empty_folders_and_wrong_names_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a:b").mkdir()
    (tmp_path / "set5").mkdir()
    for item, words in (
        (str(tmp_path / "empty"), "holds no images"),
        (str(tmp_path / "a:b"), "rename the folder"),
        (str(tmp_path / "set5"), "rename the folder"),
        ("bsds50", "did you mean bsds500"),
        ("DIV2K", "did you mean div2k"),
    ):
        with pytest.raises(ArgumentError, match=words):
            prepare(item, root=tmp_path / "data", source=None, scale=4, jobs=1)
    with pytest.raises(ArgumentError, match="--from"):
        prepare(str(tmp_path / "empty"), root=tmp_path, source=tmp_path, scale=4, jobs=1)
    for numbers in ({"scale": 0, "jobs": 1}, {"scale": 4, "jobs": 0}):
        with pytest.raises(ArgumentError, match="is 0: it must be at least 1"):
            prepare("set5", root=tmp_path, source=None, **numbers)
    with pytest.raises(ArgumentError, match="not a folder"):
        prepare("set5", root=tmp_path, source=tmp_path / "nowhere", scale=4, jobs=1)


@pytest.mark.parametrize(
    ("specification", "purpose", "words"),
    [
        ("bsds500", "train", r"bsds500:train is not prepared .*sr_train prepare bsds500 --root"),
        ("bsds500:dev", "train", "no split 'dev': it has train, val, test"),
        ("flickr2k", "val", "flickr2k has no split for validation"),
        ("set5", "train", "set5 has no split for training"),
        ("bsds500:", "train", "no split '': it has train, val, test"),
        ("bsds500:train+val+train", "train", "names a split twice"),
        ("photos", "train", r"prepare FOLDER/photos .*not a known data set"),
        ("photos:train", "train", "photos has no split 'train': it has all"),
        ("dvi2k", "train", "did you mean div2k"),
    ],
)
def test_what_is_not_prepared_is_refused_with_the_command(
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
    prepare("set5", root=root, source=given, scale=4, jobs=1)
    with pytest.raises(
        ArgumentError, match=rf"prepare set5 --root {root} --scale 2 --from {given}`$"
    ):
        prepared("set5", root=root, scale=2, purpose="val")
    prepare("set5", root=root, source=given, scale=2, jobs=1)  # as it says


def test_a_folder_is_refused_with_the_name_that_it_will_have(tmp_path: Path) -> None:
    save_folder(tmp_path / "photos", SIZE)
    with pytest.raises(
        ArgumentError, match=r"is a folder.*sr_train prepare .*/photos --root .*name it photos$"
    ):
        prepared(str(tmp_path / "photos"), root=tmp_path / "data", scale=4, purpose="train")


def test_a_prepared_set_may_have_the_name_of_a_folder_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_folder(tmp_path / "photos", SIZE)
    monkeypatch.chdir(tmp_path)
    prepare_own(Path("photos"), Path("data"))
    assert len(prepared("photos", root=Path("data"), scale=4, purpose="train")[0]) == 1


# Interruptions, and company


def test_two_that_prepare_the_same_wait_for_one_another(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_folder(tmp_path / "mine", SIZE, SIZE)
    root, said = tmp_path / "data", ""
    with only_process_in(root / "mine"):
        others = [
            threading.Thread(target=prepare_own, args=(tmp_path / "mine", root)) for _ in range(2)
        ]
        for other in others:
            other.start()
        deadline = time.monotonic() + 20
        while said.count("mine: another process is preparing it; waiting") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
            said += capsys.readouterr().out
        assert tree(root) == {}
    for other in others:
        other.join()
    said = capsys.readouterr().out
    assert said.count("2 images packed") == said.count("already prepared") == 1


def test_too_little_space_is_noticed_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_folder(tmp_path / "mine", SIZE)
    little = shutil.disk_usage(tmp_path)._replace(free=4000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: little)
    with pytest.raises(ArgumentError, match=r"4,080 bytes are needed and 4,000 are free"):
        prepare_own(tmp_path / "mine", tmp_path / "data")
    assert tree(tmp_path / "data") == {}


FILL = """
import resource, signal, sys
from pathlib import Path
from sr_runtime.errors import ArgumentError
from sr_train.data.prepare import prepare

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    prepare(sys.argv[1], root=Path(sys.argv[2]), source=None, scale=4, jobs=1)
except ArgumentError as error:
    sys.exit(str(error))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit of file sizes")
def test_a_disk_that_fills_up_leaves_what_was_prepared(tmp_path: Path) -> None:
    save_folder(tmp_path / "mine", SIZE)
    prepare_own(tmp_path / "mine", tmp_path / "data")
    before = tree(tmp_path / "data")
    save_folder(tmp_path / "mine", SIZE, SIZE)
    command = [sys.executable, "-c", FILL, tmp_path / "mine", tmp_path / "data"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "all: cannot be written (File too large): make room" in run.stderr
    assert tree(tmp_path / "data") == before


KILL = """
import os, signal, sys
from pathlib import Path
from sr_train.data import packing
from sr_train.data.prepare import prepare

if __name__ == "__main__":
    written = packing._Writer.write

    def write(self, content):
        written(self, content)
        if self._file.tell() > 7000:
            print(*(child.pid for child in packing.multiprocessing.active_children()), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

    packing._Writer.write = write
    prepare(sys.argv[1], root=Path(sys.argv[2]), source=None, scale=4, jobs=2)
"""


TERMINATE = KILL.replace("SIGKILL", "SIGTERM")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_terminated_it_cleans_up_as_after_ctrl_c(tmp_path: Path) -> None:
    save_folder(tmp_path / "mine", SIZE, SIZE, SIZE)
    (tmp_path / "terminate.py").write_text(TERMINATE)
    command = [sys.executable, tmp_path / "terminate.py", tmp_path / "mine", tmp_path / "data"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == -signal.SIGINT
    assert run.stderr.rstrip().endswith("KeyboardInterrupt")
    assert "resource_tracker" not in run.stderr
    assert sorted(path.name for path in (tmp_path / "data").rglob("*")) == [LOCK, "mine"]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
def test_killed_at_work_it_leaves_no_process_and_the_next_one_starts_afresh(tmp_path: Path) -> None:
    save_folder(tmp_path / "mine", SIZE, SIZE, SIZE)
    (tmp_path / "kill.py").write_text(KILL)
    command = [sys.executable, tmp_path / "kill.py", tmp_path / "mine", tmp_path / "data"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == -signal.SIGKILL, run.stderr
    children = [int(pid) for pid in run.stdout.split()]
    assert children
    deadline = time.monotonic() + 20
    while any(is_running(pid) for pid in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(ArgumentError, match="not prepared"):
        prepared("mine", root=tmp_path / "data", scale=4, purpose="val")
    own = prepare_own(tmp_path / "mine", tmp_path / "data")
    own.verify()
    names = sorted(path.name for path in own.folder.iterdir())
    assert names == ["hr.bin", "lr_x4.bin", "x4.json"]


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    save_folder(tmp_path / "mine", SIZE)
    folder = tmp_path / "data/mine/all"
    folder.mkdir(parents=True)
    (folder / ".0123456789ab.bin").write_bytes(b"half")
    (folder / "hr.bin").write_bytes(b"complete, but of no index")
    (folder / "lr_x4.npy").write_bytes(b"of an earlier version")
    own = prepare_own(tmp_path / "mine", tmp_path / "data")
    own.verify()
    assert sorted(path.name for path in folder.iterdir()) == ["hr.bin", "lr_x4.bin", "x4.json"]
