"""The data set that is cut from photographs in packages, here from made ones."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sr_runtime.errors import ArgumentError, DataError
from sr_runtime.resize import downscale
from sr_train.checksum import file_sha256
from sr_train.data.build.crops import Recipe
from sr_train.data.build.prepare import prepare
from sr_train.data.catalogue import DATASETS, FREE_PHOTOS
from sr_train.data.packed_dataset import PackedImages
from sr_train.data.prepared import prepared
from tests.train.made_images import made_image, save, tree

DOCS = Path(__file__).parents[2] / "docs/free-photos.md"
FREE = {
    "BSD-2-Clause", "BSD-3-Clause", "CC-BY-2.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0",
    "CC-BY-SA-4.0", "CC0-1.0", "GFDL", "GPL-2.0-or-later", "LGPL-2.1-or-later", "LGPL-3.0-only",
    "public domain",
}  # fmt: skip

PATHS = {"cat": "usr/share/one/cat.png", "tree": "usr/share/two/tree.png"}
CROPS = {"cat": [[0, 0, 16, 24], [16, 8, 24, 16]], "tree": [[8, 0, 8, 8]]}
SHRINK = {"cat": 1, "tree": 3}
SIZES = {"cat": (40, 48), "tree": (32, 50)}


def photo(name: str, folder: Path) -> dict[str, Any]:
    """A made photograph, in the folder and as a recipe has it."""
    path = folder / PATHS[name]
    save(made_image(len(name), *SIZES[name]), path)
    return {
        "name": name,
        "path": PATHS[name],
        "sha256": file_sha256(path),
        "size": SIZES[name][::-1],
        "author": "Ada",
        "license": "CC0-1.0",
        "shrink": SHRINK[name],
        "crops": CROPS[name],
    }


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the photographs of two packages, from which free_photos is now cut."""
    folder, recipe = tmp_path / "packages", tmp_path / "recipe.json"
    content = [
        {"name": package, "version": "1:2.3-4", "photos": [photo(name, folder)]}
        for package, name in (("one-data", "cat"), ("two-data", "tree"))
    ]
    recipe.write_text(json.dumps({"distribution": "Debian", "packages": content}))
    dataset = DATASETS["free_photos"]
    split = replace(dataset.splits["train"], origin=recipe, images=3)
    known = {**DATASETS, "free_photos": replace(dataset, splits={"train": split})}
    monkeypatch.setattr("sr_train.data.build.prepare.DATASETS", known)
    return folder


def test_crops_are_cut_exactly_from_the_shrunk_photographs(packages: Path, tmp_path: Path) -> None:
    prepare("free_photos", root=tmp_path / "data", source=packages)
    packed = PackedImages(tmp_path / "data/free_photos/train", 4)
    assert packed.names == ("cat_0_0", "cat_16_8", "tree_8_0")
    cat, tall = made_image(3, *SIZES["cat"]), downscale(made_image(4, *SIZES["tree"]), 3)
    assert (packed.uncropped_hr(0) == cat[:24, :16]).all()
    assert (packed.uncropped_hr(1) == cat[8:24, 16:40]).all()
    assert (packed.uncropped_hr(2) == tall[:8, 8:16]).all()
    assert [*(tmp_path / "data").iterdir()] == [tmp_path / "data/free_photos"]


def test_what_is_prepared_needs_the_packages_no_more(packages: Path, tmp_path: Path) -> None:
    root = tmp_path / "data"
    with pytest.raises(ArgumentError, match=r"free_photos is cut .* unpack .* --from"):
        prepare("free_photos", root=root)
    prepare("free_photos", root=root, source=packages)
    for source in (packages, None):
        lines: list[str] = []
        prepare("free_photos", root=root, source=source, report=lines.append)
        assert ["already prepared" in line for line in lines] == [True]


def test_a_run_that_lacks_it_is_told_what_to_unpack(tmp_path: Path) -> None:
    command = r"prepare free_photos .*--from FOLDER`, where .*docs/free-photos\.md"
    with pytest.raises(ArgumentError, match=command):
        prepared("free_photos", root=tmp_path, scale=4, purpose="train")


def test_a_photograph_of_another_version_is_refused(packages: Path, tmp_path: Path) -> None:
    right = file_sha256(packages / PATHS["tree"])
    save(made_image(9, *SIZES["tree"]), packages / PATHS["tree"])
    wrong = file_sha256(packages / PATHS["tree"])
    facts = rf"tree\.png: not the file .*{wrong}.* two-data 1:2\.3-4 of Debian .*{right}: unpack"
    with pytest.raises(DataError, match=facts):
        prepare("free_photos", root=tmp_path / "data", source=packages)
    assert tree(tmp_path / "data") == {}


def test_photographs_that_are_missing_can_be_left_out_and_added(
    packages: Path, tmp_path: Path
) -> None:
    root, path = tmp_path / "data", packages / PATHS["tree"]
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(
        DataError, match=r"tree\.png: not found: unpack .*two-data 1:2\.3-4 of Debian into"
    ):
        prepare("free_photos", root=root, source=packages)
    lines: list[str] = []
    options: dict[str, Any] = {"root": root, "source": packages, "report": lines.append}
    prepare("free_photos", **options, skip_bad=True)
    assert "left out" in lines[0]
    assert "not found" in lines[0]
    assert PackedImages(root / "free_photos/train", 4).names == ("cat_0_0", "cat_16_8")
    path.write_bytes(content)
    prepare("free_photos", **options, skip_bad=True)
    assert len(PackedImages(root / "free_photos/train", 4)) == 3


def test_a_folder_without_any_of_the_packages_is_refused(packages: Path, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"usr: none of the 2 photographs .*docs/free-photos"):
        prepare("free_photos", root=tmp_path / "data", source=packages / "usr")
    assert tree(tmp_path / "data") == {}


def test_the_recipe_is_consistent() -> None:
    photos = Recipe(FREE_PHOTOS, Path()).photos
    assert len({photo.name for photo in photos}) == len(photos)
    assert len({photo.sha256 for photo in photos}) == len(photos)
    for photo in photos:
        assert len(bytes.fromhex(photo.sha256)) == 32
        assert photo.license in FREE
        width, height = (side // photo.shrink for side in photo.size)
        pixels = {
            (x, y)
            for left, top, wide, high in photo.crops
            for x in range(left, left + wide, 8)
            for y in range(top, top + high, 8)
        }
        assert all(side % 8 == 0 for crop in photo.crops for side in crop)
        assert all(
            left + wide <= width and top + high <= height for left, top, wide, high in photo.crops
        )
        area = sum(wide * high for *_, wide, high in photo.crops)
        assert 64 * len(pixels) == area, "crops overlap"
    crops = sum(len(photo.crops) for photo in photos)
    assert DATASETS["free_photos"].splits["train"].images == crops


def test_every_photograph_is_attributed_in_the_documentation() -> None:
    text = DOCS.read_text("utf-8")
    for photo in Recipe(FREE_PHOTOS, Path()).photos:
        package, version, *_ = photo.package.split()
        assert f"| `{photo.name}` | `{photo.path}` | {photo.author} | {photo.license} |" in text
        assert f"| `{package}` | {version} |" in text
