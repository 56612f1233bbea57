"""Images that are cut from photographs in packages: the data set `free_photos`.

`free_photos.json` names the photographs, and for each its package, author and licence, how many
times it is shrunk until its pixels are sharp, and the crops: left, top, width and height there.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tqdm import tqdm

from sr_runtime.errors import ArgumentError, DataError, ImageError, SRError
from sr_runtime.evaluation.pairs import Pair
from sr_runtime.image import Picture, write
from sr_runtime.resize import downscale
from sr_runtime.storage.atomic import create_folder
from sr_runtime.storage.temporary import temporary_folder
from sr_train.checksum import file_sha256
from sr_train.data.build.decode import read_in_srgb
from sr_train.data.build.split import fingerprint

__all__ = ["Photo", "Recipe", "cut"]


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photograph in a package, and what is cut from it."""

    package: str
    """Its name, the version that has these bytes, and the distribution."""
    name: str
    path: str
    """In the package."""
    sha256: str
    size: tuple[int, int]
    """Width and height of the file."""
    author: str
    license: str
    """Its name by SPDX where it has one."""
    shrink: int
    crops: tuple[tuple[int, int, int, int], ...]
    """Left, top, width and height in the photograph once it is shrunk."""


@dataclass(frozen=True)
class Recipe:
    """The photographs, and the folder that their packages are unpacked to."""

    file: Path
    source: Path

    @cached_property
    def photos(self) -> list[Photo]:
        """Sorted by package and name."""
        content = json.loads(self.file.read_text("utf-8"))
        distribution = content["distribution"]
        return [
            Photo(
                **facts
                | {
                    "package": " ".join([package["name"], package["version"], "of", distribution]),
                    "size": tuple(facts["size"]),
                    "crops": tuple(map(tuple, facts["crops"])),
                }
            )
            for package in content["packages"]
            for facts in package["photos"]
        ]

    @property
    def fingerprint(self) -> str:
        """A digest that changes with the recipe, and with the files that it names."""
        paths = (self.source / photo.path for photo in self.photos)
        found = [Pair(path.name, path, None) for path in paths if path.is_file()]
        return f"{file_sha256(self.file)[:16]}-{fingerprint(found)}"


@contextmanager
def cut(recipe: Recipe, scratch: Path) -> Iterator[tuple[list[Pair], list[SRError]]]:
    """The crops as files in a temporary folder, and the errors of the photographs that are unfit.

    Raises:
        ArgumentError: None of the photographs is there.
        StorageError: One cannot be read, or the folder `scratch` cannot be written.
    """
    if not any((recipe.source / photo.path).is_file() for photo in recipe.photos):
        raise ArgumentError(
            f"none of the {len(recipe.photos)} photographs is in it: unpack the packages that "
            "docs/free-photos.md lists into this folder",
            path=recipe.source,
        )
    create_folder(scratch)
    with temporary_folder(scratch) as folder:
        pairs: list[Pair] = []
        unfit: list[SRError] = []
        for photo in tqdm(recipe.photos, "cutting", unit="photo", disable=None):
            try:
                pairs += _cut(photo, recipe.source, folder.path)
            except (DataError, ImageError) as error:
                unfit.append(error)
        yield sorted(pairs, key=lambda pair: pair.name), unfit


def _cut(photo: Photo, source: Path, target: Path) -> Sequence[Pair]:
    path = source / photo.path
    if not path.is_file():
        raise DataError(f"not found: unpack the package {photo.package} into {source}", path=path)
    if (sha256 := file_sha256(path)) != photo.sha256:
        raise DataError(
            f"not the file that is known: its SHA-256 is {sha256}, and in the package "
            f"{photo.package} it is {photo.sha256}: unpack that version into {source}",
            path=path,
        )
    pixels, _ = read_in_srgb(path)
    pixels = downscale(pixels, photo.shrink)
    pairs = []
    for left, top, width, height in photo.crops:
        pair = Pair(name := f"{photo.name}_{left}_{top}", target / f"{name}.png", None)
        write(Picture(frames=(pixels[top : top + height, left : left + width],)), pair.hr)
        pairs.append(pair)
    return pairs
