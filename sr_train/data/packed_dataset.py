"""One split of a prepared data set: images decoded once, stored one after another, memory-mapped.

    ROOT/NAME/SPLIT/x4.json     the index for a scale of 4
    ROOT/NAME/SPLIT/hr.bin      every pixel of every HR image, uint8, shared by all scales
    ROOT/NAME/SPLIT/lr_x4.bin   every pixel of every LR image for a scale of 4

A crop reads its own rows and nothing else. Where the data set brings its own LR images, which are
made for one scale, its HR images belong to that scale too (`hr_x4.bin`).
"""

import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sr_runtime.atomic import atomic_path
from sr_runtime.errors import ArgumentError, DataError, SRError, StorageError
from sr_runtime.tensor import LUMA

__all__ = [
    "Index",
    "PackedFile",
    "PackedImages",
    "PackedPair",
    "in_channels",
    "index_path",
    "indexes",
]

SCHEMA = 2

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class PackedFile:
    """A file of the split; its length and checksum are known once it has been written."""

    name: str
    bytes: int = 0
    sha256: str = ""


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
    schema: int = SCHEMA

    def write(self, folder: Path) -> None:
        """Write it into the folder of the split."""
        with atomic_path(index_path(folder, self.scale)) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1), "utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises DataError if the file is damaged or has another schema."""
        remedy = f"delete {path.parent} and prepare it again"
        try:
            facts = json.loads(path.read_text("utf-8"))
            if facts["schema"] != SCHEMA:
                raise DataError(
                    f"schema {facts['schema']}, and this version reads {SCHEMA}: {remedy}",
                    path=path,
                )
            facts["hr"], facts["lr"] = PackedFile(**facts["hr"]), PackedFile(**facts["lr"])
            facts["names"] = tuple(facts["names"])
            facts["sizes"] = tuple((height, width) for height, width in facts["sizes"])
            return cls(**facts)
        except OSError as error:
            raise StorageError(f"cannot be read ({error.strerror})", path=path) from error
        except (LookupError, TypeError, ValueError) as error:
            raise DataError(f"the index is damaged ({error}): {remedy}", path=path) from error


def index_path(folder: Path, scale: int) -> Path:
    """The index of a split for a scale."""
    return folder / f"x{scale}.json"


def indexes(folder: Path) -> Iterator[Index]:
    """The indexes of a split for all scales, without damaged ones."""
    for path in sorted(folder.glob("x*.json")):
        with suppress(SRError):
            yield Index.read(path)


class PackedImages:
    """The HR and LR images of a split, as views of memory-mapped files.

    Pickling stores the folder's name only: another process maps the files itself.
    """

    def __init__(self, folder: Path, scale: int) -> None:
        """Open a split. Files are checked for their length; `verify` checks every byte.

        Raises DataError if the split is damaged.
        """
        self.folder = folder
        self.scale = scale
        self.index = Index.read(index_path(folder, scale))
        self.name = f"{self.index.name}:{self.index.split}"
        """Data set and split, as a configuration spells them: `bsds500:train`."""
        self.names = self.index.names
        """The images' file names without suffix."""
        self.channels = self.index.channels
        """1 (gray) or 3 (RGB)."""
        for file in (self.index.hr, self.index.lr):
            path = folder / file.name
            if not path.is_file() or path.stat().st_size != file.bytes:
                raise self._damaged(path, f"expected a file of {file.bytes:,} bytes")
        heights, widths = np.array(self.index.sizes).T
        self._hr_ends = np.cumsum(heights * widths * self.channels).tolist()
        self._lr_ends = np.cumsum((heights // scale) * (widths // scale) * self.channels).tolist()

    def __reduce__(self) -> tuple[type[Self], tuple[Path, int]]:
        return type(self), (self.folder, self.scale)

    def __len__(self) -> int:
        return len(self.names)

    def size(self, i: int) -> tuple[int, int]:
        """Height and width of HR image `i`, as `hr` returns it."""
        height, width = self.index.sizes[i]
        return height - height % self.scale, width - width % self.scale

    def hr(self, i: int) -> Pixels:
        """(H, W, C) uint8, read-only: HR image `i`, cropped to a multiple of the scale."""
        height, width = self.size(i)
        return self.uncropped_hr(i)[:height, :width]

    def uncropped_hr(self, i: int) -> Pixels:
        """(H, W, C) uint8, read-only: HR image `i` as stored."""
        return self._view(self._hr, self._hr_ends, i, *self.index.sizes[i])

    def lr(self, i: int) -> Pixels:
        """(H/scale, W/scale, C) uint8, read-only: LR image `i`."""
        height, width = self.index.sizes[i]
        return self._view(self._lr, self._lr_ends, i, height // self.scale, width // self.scale)

    def verify(self) -> None:
        """Raise DataError if a byte of the files differs from what was written."""
        for file in (self.index.hr, self.index.lr):
            path = self.folder / file.name
            with path.open("rb") as content:
                found = hashlib.file_digest(content, "sha256").hexdigest()
            if found != file.sha256:
                raise self._damaged(path, f"SHA-256 {found[:16]}…, expected {file.sha256[:16]}…")

    # Mapped at first use, which is in the process that reads the images.
    @cached_property
    def _hr(self) -> Pixels:
        return self._map(self.index.hr)

    @cached_property
    def _lr(self) -> Pixels:
        return self._map(self.index.lr)

    def _map(self, file: PackedFile) -> Pixels:
        # A plain array, because slicing np.memmap costs several microseconds each time.
        flat: Pixels = np.memmap(self.folder / file.name, np.uint8, "r").view(np.ndarray)
        return flat

    def _view(self, flat: Pixels, ends: list[int], i: int, height: int, width: int) -> Pixels:
        shape = height, width, self.channels
        return flat[ends[i] - math.prod(shape) : ends[i]].reshape(shape)

    def _damaged(self, path: Path, how: str) -> DataError:
        return DataError(f"damaged ({how}): make it again with `{self.index.command}`", path=path)


@dataclass(frozen=True)
class PackedPair:
    """One image of a split with its LR; reads like `sr_runtime.evaluation.pairs.Pair`."""

    name: str
    images: PackedImages
    index: int
    channels: int
    """1 (gray) or 3 (RGB): what `read` returns."""

    def read(self, scale: int) -> tuple[Pixels, Pixels]:
        """Copies of LR (h, w, C) and HR (scale·h, scale·w, C), uint8."""
        if scale != self.images.scale:
            raise ArgumentError(
                f"{self.images.name} was opened for a scale of {self.images.scale}, and "
                f"{scale} was requested"
            )
        lr, hr = self.images.lr(self.index), self.images.hr(self.index)
        return in_channels(lr, self.channels).copy(), in_channels(hr, self.channels).copy()


def in_channels(image: Pixels, channels: int) -> Pixels:
    """The image itself, or its luma (BT.601, full range, rounded) if it is RGB and `channels` is 1.

    LR and HR are converted separately: up to rounding, LR is still the downscaled gray HR.
    """
    if image.shape[2] == channels:
        return image
    luma: Pixels = np.rint(image @ LUMA).astype(np.uint8)
    return luma[:, :, np.newaxis]
