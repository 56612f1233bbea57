"""One split of a prepared data set: its images decoded once, memory-mapped, one after the other.

    ROOT/NAME/SPLIT/x4.json     what is there for a scale of 4
    ROOT/NAME/SPLIT/hr.bin      every pixel of every image, uint8; the same for all scales
    ROOT/NAME/SPLIT/lr_x4.bin   the images shrunk 4 times

A crop reads its own rows and nothing else. Where the data set brings LR images of its own, made
for one scale, its HR images are of that scale too (`hr_x4.bin`).
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sr_runtime.atomic import atomic_path
from sr_runtime.errors import ArgumentError

__all__ = ["Index", "PackedFile", "PackedImages", "index_path"]

SCHEMA = 2

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class PackedFile:
    """A file of the split; its length and checksum are known when it has been written."""

    name: str
    bytes: int = 0
    sha256: str = ""


@dataclass(frozen=True, kw_only=True)
class Index:
    """What is in a split for one scale; written last, so that where it is, the rest is."""

    name: str
    split: str
    scale: int
    channels: int
    """1 (gray) or 3 (RGB), of all images."""
    names: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    """Height and width of each HR image, as stored: not cut to a multiple of the scale."""
    hr: PackedFile
    lr: PackedFile
    command: str
    """Makes the split anew."""
    source: str | None
    """The user's folder it was made from; None: the official archive."""
    fingerprint: str | None
    """Of the files of that folder."""
    schema: int = SCHEMA

    def write(self, folder: Path) -> None:
        """Write it into the folder of the split."""
        with atomic_path(index_path(folder, self.scale)) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1), "utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises ArgumentError for a damaged file, or one of another schema."""
        try:
            facts = json.loads(path.read_text("utf-8"))
            if facts["schema"] != SCHEMA:
                raise ArgumentError(
                    f"{path} is of schema {facts['schema']}, and this version reads {SCHEMA}: "
                    f"delete {path.parent} and prepare it again"
                )
            facts["hr"], facts["lr"] = PackedFile(**facts["hr"]), PackedFile(**facts["lr"])
            facts["names"] = tuple(facts["names"])
            facts["sizes"] = tuple((height, width) for height, width in facts["sizes"])
            return cls(**facts)
        except (OSError, UnicodeError, LookupError, TypeError, ValueError) as error:
            if isinstance(error, ArgumentError):
                raise
            raise ArgumentError(
                f"{path} is damaged ({error}): delete {path.parent} and prepare it again"
            ) from error


def index_path(folder: Path, scale: int) -> Path:
    """Where the index of a split for a scale is."""
    return folder / f"x{scale}.json"


class PackedImages:
    """The images of a split and their LR, as views of memory-mapped files.

    Goes to another process as the name of its folder: the files are mapped anew there.
    """

    def __init__(self, folder: Path, scale: int) -> None:
        """Raises ArgumentError if the split is damaged; `verify` looks at every byte, this not."""
        self.folder = folder
        self.scale = scale
        self.index = Index.read(index_path(folder, scale))
        for file in (self.index.hr, self.index.lr):
            path = folder / file.name
            if not path.is_file() or path.stat().st_size != file.bytes:
                raise self._damaged(path, f"should be there, with {file.bytes:,} bytes")
        heights, widths = np.array(self.index.sizes).T
        channels = self.index.channels
        self._hr_ends = np.cumsum(heights * widths * channels).tolist()
        self._lr_ends = np.cumsum((heights // scale) * (widths // scale) * channels).tolist()

    def __reduce__(self) -> tuple[type[Self], tuple[Path, int]]:
        return type(self), (self.folder, self.scale)

    @property
    def name(self) -> str:
        """Data set and split, as configurations spell it: `bsds500:train`."""
        return f"{self.index.name}:{self.index.split}"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the images, without suffix."""
        return self.index.names

    @property
    def channels(self) -> int:
        """1 (gray) or 3 (RGB)."""
        return self.index.channels

    def __len__(self) -> int:
        return len(self.index.names)

    def size(self, i: int) -> tuple[int, int]:
        """Height and width of an HR image, as `hr` gives it."""
        height, width = self.index.sizes[i]
        return height - height % self.scale, width - width % self.scale

    def hr(self, i: int) -> Pixels:
        """(H, W, C) uint8, read-only: an HR image cut to a multiple of the scale (mod-cropped)."""
        height, width = self.size(i)
        return self.uncropped_hr(i)[:height, :width]

    def uncropped_hr(self, i: int) -> Pixels:
        """(H, W, C) uint8, read-only: an HR image as stored."""
        return self._cut(self._hr, self._hr_ends, i, *self.index.sizes[i])

    def lr(self, i: int) -> Pixels:
        """(H/scale, W/scale, C) uint8, read-only."""
        height, width = self.index.sizes[i]
        return self._cut(self._lr, self._lr_ends, i, height // self.scale, width // self.scale)

    def verify(self) -> None:
        """Raise ArgumentError, naming file and remedy, if a byte differs from what was written."""
        for file in (self.index.hr, self.index.lr):
            path = self.folder / file.name
            with path.open("rb") as content:
                found = hashlib.file_digest(content, "sha256").hexdigest()
            if found != file.sha256:
                raise self._damaged(path, f"has SHA-256 {found[:16]}… and not {file.sha256[:16]}…")

    # Mapped when first used: by then we are in the process that uses them.
    @cached_property
    def _hr(self) -> Pixels:
        return self._map(self.index.hr)

    @cached_property
    def _lr(self) -> Pixels:
        return self._map(self.index.lr)

    def _map(self, file: PackedFile) -> Pixels:
        # As a plain array: slices of np.memmap cost several microseconds each.
        flat: Pixels = np.memmap(self.folder / file.name, np.uint8, "r").view(np.ndarray)
        return flat

    def _cut(self, flat: Pixels, ends: list[int], i: int, height: int, width: int) -> Pixels:
        length = height * width * self.index.channels
        return flat[ends[i] - length : ends[i]].reshape(height, width, self.index.channels)

    def _damaged(self, path: Path, how: str) -> ArgumentError:
        return ArgumentError(f"{path} is damaged ({how}): make it anew with `{self.index.command}`")
