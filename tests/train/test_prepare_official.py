"""Preparing known data sets from their addresses, here those of a local server."""

import contextlib
import hashlib
import http.server
import io
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from sr_runtime.errors import ArgumentError, DataError, StorageError
from sr_train.data.build.prepare import prepare
from sr_train.data.catalogue import DATASETS, Archive
from sr_train.data.prepared import prepared
from tests.train.made_images import SIZE, made_image, save, save_folder, tree

# As few as the archives of these tests have; one where nothing is said.
IMAGES = {"flickr2k": 3, "set5": 5}


@pytest.fixture
def site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Path]:
    """The folder of a server in place of the official ones; by default no digest is published."""
    keeps_digests = getattr(request, "param", False)
    folder = tmp_path / "site"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    handler = partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:

        def moved(origin: Archive | Path) -> Archive | Path:
            if isinstance(origin, Path):
                return origin
            return replace(
                origin,
                url=f"http://127.0.0.1:{server.server_port}/{origin.name}",
                digest=origin.digest if keeps_digests else None,
            )

        here = {
            name: replace(
                dataset,
                splits={
                    split: replace(
                        published, origin=moved(published.origin), images=IMAGES.get(name, 1)
                    )
                    for split, published in dataset.splits.items()
                },
            )
            for name, dataset in DATASETS.items()
        }
        monkeypatch.setattr("sr_train.data.build.prepare.DATASETS", here)
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


def test_an_archive_without_a_published_checksum_is_recorded_and_checked_afterwards(
    site: Path, tmp_path: Path
) -> None:
    members = {f"Flickr2K/Flickr2K_HR/{i}.png": png(i) for i in range(3)}
    junk = {"Flickr2K/Flickr2K_LR/9.png": png(9), "Flickr2K/Flickr2K_HR/._0.png": b"junk"}
    write_tar(site / "Flickr2K.tar", members | junk)
    root = tmp_path / "data"
    lines: list[str] = []
    prepare("flickr2k", root=root, report=lines.append)
    (train,) = prepared("flickr2k", root=root, scale=4, purpose="train")
    assert train.names == ("0", "1", "2")
    assert (train.uncropped_hr(2) == made_image(2, *SIZE)).all()
    sha256 = hashlib.sha256((site / "Flickr2K.tar").read_bytes()).hexdigest()
    assert sha256 in lines[0]
    assert tree(root / "downloads") == {
        "Flickr2K.tar": (site / "Flickr2K.tar").read_bytes(),
        "Flickr2K.tar.sha256": f"{sha256}  Flickr2K.tar\n".encode(),
    }

    (root / "downloads/Flickr2K.tar").unlink()
    write_tar(site / "Flickr2K.tar", members)
    prepare("flickr2k", root=root)  # undamaged: nothing is downloaded
    shutil.rmtree(root / "flickr2k")
    with pytest.raises(DataError, match=rf"Flickr2K\.tar: .*{sha256}.*\.sha256: .*delete it"):
        prepare("flickr2k", root=root)


def test_an_archive_of_too_few_images_is_refused_and_its_checksum_not_trusted(
    site: Path, tmp_path: Path
) -> None:
    write_tar(site / "Flickr2K.tar", {"Flickr2K/Flickr2K_HR/0.png": png(0)})
    with pytest.raises(DataError, match=r"Flickr2K\.tar: 1 images .*Flickr2K_HR.* has 3: .*delete"):
        prepare("flickr2k", root=tmp_path / "data")
    assert list(tree(tmp_path / "data")) == ["downloads/Flickr2K.tar"]


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
            f"Set5/image_SRF_{scale}/img_00{i}_SRF_{scale}_{kind}.png": content
            for scale in (2, 4)
            for i in range(5)
            for kind, content in (
                ("HR", (tmp_path / "hr.png").read_bytes()),
                ("LR", (tmp_path / "lr.png").read_bytes()),
                ("bicubic", png(9)),
            )
        },
    )
    for name in ("div2k", "bsds500", "set5"):
        prepare(name, root=root)
    for specification in ("div2k:train+val", "bsds500:train+val+test"):
        splits = prepared(specification, root=root, scale=4, purpose="train")
        assert [len(split) for split in splits] == [1] * len(splits)
    (set5,) = prepared("set5", root=root, scale=4, purpose="val")
    assert set5.names == tuple(f"img_00{i}_SRF_4" for i in range(5))
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
    members = {f"{folder}/{i}.png": png(i) for i in range(IMAGES.get(dataset, 1))}
    write(site / archive, members)
    content = bytearray((site / archive).read_bytes())
    content[1000] ^= 1
    damaged = {"cut": content[:800], "changed": content, "a web page": b"<html>"}[damage]
    (site / archive).write_bytes(damaged)
    facts = rf"downloads/{archive}: .*damaged .*: delete it and prepare the data set again$"
    if damage == "changed" and dataset != "set5":  # tar has no checksums of its members
        facts = facts.replace("damaged", rf"{folder}/0\.png")
    with pytest.raises(DataError, match=facts):
        prepare(dataset, root=tmp_path / "data")
    assert not list((tmp_path / "data").rglob("*.bin"))

    # The right one is accepted then.
    (tmp_path / "data/downloads" / archive).unlink()
    (site / archive).unlink()
    write(site / archive, members)
    with contextlib.suppress(DataError):  # BSDS500's other splits are missing
        prepare(dataset, root=tmp_path / "data")
    assert len(list((tmp_path / "data").rglob("x4.json"))) == 1


@pytest.mark.parametrize("site", [True], indirect=True)
def test_another_archive_than_the_published_one_is_refused(site: Path, tmp_path: Path) -> None:
    write_tar(site / "BSR_bsds500.tgz", {"train/0.png": png(0)})
    with pytest.raises(DataError, match=r"BSR_bsds500.* 0b17383ff0b21fe43d2f28e624203169"):
        prepare("bsds500", root=tmp_path / "data")
    assert not list((tmp_path / "data").rglob("*.bin"))


def test_a_damaged_record_of_a_checksum_is_named(site: Path, tmp_path: Path) -> None:
    write_tar(site / "Flickr2K.tar", {"Flickr2K_HR/0.png": png(0)})
    record = tmp_path / "data/downloads/Flickr2K.tar.sha256"
    record.parent.mkdir(parents=True)
    record.write_bytes(b"\xff" * 64)
    with pytest.raises(DataError, match=r"Flickr2K\.tar\.sha256: .*delete it"):
        prepare("flickr2k", root=tmp_path / "data")


def test_a_set_prepared_from_a_part_is_made_again_from_the_official_archive(
    site: Path, tmp_path: Path
) -> None:
    root, source = tmp_path / "data", tmp_path / "part"
    save_folder(source, SIZE, SIZE)
    lines: list[str] = []
    prepare("set5", root=root, source=source, report=lines.append)
    assert lines[0] == "set5:test: 2 images, where the official split has 5"
    write_zip(site / "Set5.zip", {f"x4/{i}.png": png(9 + i) for i in range(5)})
    lines.clear()
    prepare("set5", root=root, report=lines.append)
    assert f"making it again: 2 images of {source}, where the official split has 5" in lines[0]
    (set5,) = prepared("set5", root=root, scale=4, purpose="val")
    assert (set5.hr(0) == made_image(9, *SIZE)).all()
    lines.clear()
    prepare("set5", root=root, report=lines.append)
    assert ["already prepared" in line for line in lines] == [True]


def test_a_complete_set_prepared_from_a_folder_is_not_downloaded(tmp_path: Path) -> None:
    save_folder(tmp_path / "whole", *[SIZE] * 5)
    lines: list[str] = []
    prepare("set5", root=tmp_path / "data", source=tmp_path / "whole", report=lines.append)
    assert not any("official" in line for line in lines)
    lines.clear()
    prepare("set5", root=tmp_path / "data", report=lines.append)
    assert ["already prepared" in line for line in lines] == [True]


def test_a_larger_set_than_the_official_one_is_refused(tmp_path: Path) -> None:
    save_folder(tmp_path / "set14", *[SIZE] * 6)
    with pytest.raises(ArgumentError, match=r"set14: 6 images for set5:test, .* 5"):
        prepare("set5", root=tmp_path / "data", source=tmp_path / "set14")
    assert tree(tmp_path / "data") == {}


def test_an_archive_cannot_write_outside_its_folder(site: Path, tmp_path: Path) -> None:
    write_tar(site / "Flickr2K.tar", {"../../../Flickr2K_HR/0.png": png(0)})
    with pytest.raises(DataError, match=r"Flickr2K\.tar: .*outside"):
        prepare("flickr2k", root=tmp_path / "data")
    assert not list(tmp_path.rglob("0.png"))


def test_an_archive_that_the_server_lacks_is_named_with_its_place(
    site: Path, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match=r"downloads/Flickr2K\.tar: .* 404 .*put .* there$"):
        prepare("flickr2k", root=tmp_path / "data")


def test_the_known_digests_and_splits_are_the_published_ones() -> None:
    images = {
        name: [split.images for split in dataset.splits.values()]
        for name, dataset in DATASETS.items()
    }
    assert images == {
        "div2k": [800, 100],
        "flickr2k": [2650],
        "bsds500": [200, 100, 200],
        "free_photos": [158],
        "set5": [5],
        "set14": [14],
    }
    digests = {}
    for dataset in DATASETS.values():
        for split in dataset.splits.values():
            if isinstance(split.origin, Archive):
                assert split.origin.url.startswith("https://")
                digests[split.origin.name] = split.origin.digest
    assert digests == {
        "DIV2K_train_HR.zip": "md5:bdc2d9338d4e574fe81bf7d158758658",
        "DIV2K_valid_HR.zip": "md5:9fcdda83005c5e5997799b69f955ff88",
        "BSR_bsds500.tgz": "md5:0b17383ff0b21fe43d2f28e624203169",
        "Flickr2K.tar": None,
        "Set5.zip": None,
        "Set14.zip": None,
    }
