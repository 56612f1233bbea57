"""The index of a split of a prepared data set: which images its files hold.

    ROOT/NAME/SPLIT/x4.json     the index for a scale of 4
    ROOT/NAME/SPLIT/hr.bin      every pixel of every HR image, uint8, shared by all scales
    ROOT/NAME/SPLIT/lr_x4.bin   every pixel of every LR image for a scale of 4

Images are stored one after another. Where the data set brings its own LR images, which are made
for one scale, its HR images belong to that scale too (`hr_x4.bin`).
"""

import hashlib
import json
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from sr_runtime.errors import DataError, SRError, StorageError
from sr_runtime.storage.atomic import atomic_path

__all__ = ["Index", "PackedFile", "index_path", "indexes", "remember_times"]

SCHEMA = 3


@dataclass(frozen=True)
class PackedFile:
    """A file of the split; the facts after its name are known once it has been written."""

    name: str
    bytes: int = 0
    sha256: str = ""
    mtime_ns: int = 0
    """When it was written: a file of this time is taken for unchanged."""

    def check(self, pixels: int) -> None:
        """Raise ValueError unless the facts have the right types and it holds `pixels` bytes."""
        _require(type(self.name) is str and re.fullmatch(r"\w+\.bin", self.name), "a file's name")
        _require(type(self.bytes) is int and self.bytes == pixels, "a file's length")
        _require(type(self.mtime_ns) is int, "a file's time")
        _require(
            type(self.sha256) is str and re.fullmatch("[0-9a-f]{64}", self.sha256), "a checksum"
        )


@dataclass(frozen=True, kw_only=True)
class Index:
    """What a split holds for one scale. It is written last: where it exists, the rest does."""

    name: str
    split: str
    scale: int
    channels: int
    """1 (gray) or 3 (RGB), the same for all images."""
    names: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    """Height and width of each HR image as stored, not cropped to a multiple of the scale."""
    hr: PackedFile
    lr: PackedFile
    command: str
    """The command that makes the split again."""
    source: str | None
    """The user's folder it was made from; None: the official archive."""
    fingerprint: str | None
    """`split.fingerprint` of that folder."""
    held_out: tuple[str, ...] = ()
    """The names of images to validate with and not to train on."""
    schema: int = SCHEMA

    def write(self, folder: Path) -> None:
        """Write it, with its own checksum, into the folder of the split."""
        facts = json.loads(json.dumps(asdict(self)))  # tuples become lists
        with atomic_path(index_path(folder, self.scale)) as temporary:
            content = facts | {"checksum": _checksum(facts)}
            temporary.write_text(json.dumps(content, indent=1), "utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """The index in a file.

        Raises:
            DataError: It is damaged, was changed by hand or has another schema.
            StorageError: It cannot be read.
        """
        remedy = f"delete {path.parent} and prepare it again"
        try:
            _require(stat.S_ISREG(path.stat().st_mode), "the kind of file")
            facts = json.loads(path.read_bytes())
            if facts["schema"] != SCHEMA:
                raise DataError(
                    f"schema {facts['schema']!r:.40}, and this version reads {SCHEMA}: {remedy}",
                    path=path,
                )
            _require(facts.pop("checksum") == _checksum(facts), "its checksum")
            facts["hr"], facts["lr"] = PackedFile(**facts["hr"]), PackedFile(**facts["lr"])
            facts["names"] = tuple(facts["names"])
            facts["held_out"] = tuple(facts.get("held_out", ()))  # 0.1 had none
            facts["sizes"] = tuple((height, width) for height, width in facts["sizes"])
            index = cls(**facts)
            index._check()
            _require(index_path(path.parent, index.scale) == path, "the scale")
            return index
        except OSError as error:
            raise StorageError(f"cannot be read ({error.strerror})", path=path) from error
        except (LookupError, TypeError, ValueError, RecursionError) as error:
            reason = f"{error}" if isinstance(error, _WrongFactError) else type(error).__name__
            raise DataError(f"the index is damaged ({reason}): {remedy}", path=path) from error

    def _check(self) -> None:
        """Raise ValueError for the first fact of a wrong type, or that contradicts another."""
        texts = (self.name, self.split, self.command, *self.names)
        _require(all(type(text) is str for text in texts), "a name")
        _require({*self.held_out} < {*self.names} or not self.held_out, "what is held out")
        optional = (self.source, self.fingerprint)
        _require(all(type(text) in (str, type(None)) for text in optional), "its source")
        _require(type(self.scale) is int and self.scale >= 1, "the scale")
        _require(type(self.channels) is int and self.channels in (1, 3), "the channels")
        _require(len(self.sizes) == len(self.names) > 0, "the number of images")
        sides = [side for size in self.sizes for side in size]
        _require(all(type(side) is int and side >= self.scale for side in sides), "an image's size")
        for file, factor in ((self.hr, 1), (self.lr, self.scale)):
            pixels = sum((height // factor) * (width // factor) for height, width in self.sizes)
            file.check(pixels * self.channels)


def index_path(folder: Path, scale: int) -> Path:
    """The index of a split for a scale."""
    return folder / f"x{scale}.json"


def indexes(folder: Path) -> Iterator[Index]:
    """The indexes of a split for all scales, without damaged ones."""
    for path in sorted(folder.glob("x*.json")):
        with suppress(SRError):
            yield Index.read(path)


def remember_times(folder: Path, scale: int) -> Index:
    """Note when the files, whose every byte was just verified, were last changed: a copy is new.

    Returns the index.
    """
    index = Index.read(index_path(folder, scale))
    hr, lr = (
        replace(file, mtime_ns=(folder / file.name).stat().st_mtime_ns)
        for file in (index.hr, index.lr)
    )
    if (hr, lr) != (index.hr, index.lr):
        index = replace(index, hr=hr, lr=lr)
        index.write(folder)
    return index


class _WrongFactError(ValueError):
    """A fact of an index is not what it can be."""


def _require(condition: object, fact: str) -> None:
    if not condition:
        raise _WrongFactError(f"{fact} is wrong")


def _checksum(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
