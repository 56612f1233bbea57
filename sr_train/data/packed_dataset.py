"""One split of a prepared data set: images decoded once, memory-mapped, and read as views.

A crop reads its own rows and nothing else. `packed_index` describes the files.
"""

import math
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError, DataError
from sr_runtime.tensor import LUMA
from sr_train.checksum import file_sha256
from sr_train.data.packed_index import Index, PackedFile, index_path

__all__ = ["PackedImages", "PackedPair", "in_channels"]

Pixels = NDArray[np.uint8]


class PackedImages:
    """The HR and LR images of a split, as views of memory-mapped files.

    Pickling stores the folder's name only: another process maps the files itself.
    """

    def __init__(self, folder: Path, scale: int, part: str = "all") -> None:
        """Open a split. Files are checked for their length; `verify` checks every byte.

        Args:
            folder: The folder of the split.
            scale: How many times smaller LR is than HR.
            part: "val" opens only the images that are held out, "train" all others.

        Raises:
            DataError: The split is damaged.
            StorageError: It cannot be read.
        """
        self.folder = folder
        self.scale = scale
        self.part = part
        self.index = Index.read(index_path(folder, scale))
        self.name = f"{self.index.name}:{self.index.split if part == 'all' else part}"
        """Data set and split, as a configuration spells them: `bsds500:train`."""
        self._places = [
            place
            for place, name in enumerate(self.index.names)
            if part == "all" or (part == "val") == (name in self.index.held_out)
        ]
        self.names = tuple(self.index.names[place] for place in self._places)
        """The images' file names without suffix."""
        self.channels = self.index.channels
        """1 (gray) or 3 (RGB)."""
        for file in (self.index.hr, self.index.lr):
            path = folder / file.name
            if not path.is_file() or path.stat().st_size != file.bytes:
                raise self._damaged(path, f"expected a file of {file.bytes:,} bytes")
        sizes = self.index.sizes
        self._hr_ends = list(accumulate(h * w * self.channels for h, w in sizes))
        self._lr_ends = list(
            accumulate((h // scale) * (w // scale) * self.channels for h, w in sizes)
        )

    def __reduce__(self) -> tuple[type[Self], tuple[Path, int, str]]:
        return type(self), (self.folder, self.scale, self.part)

    def __len__(self) -> int:
        return len(self.names)

    def size(self, i: int) -> tuple[int, int]:
        """Height and width of HR image `i`, as `hr` returns it."""
        height, width = self.index.sizes[self._places[i]]
        return height - height % self.scale, width - width % self.scale

    def hr(self, i: int) -> Pixels:
        """(H, W, C) uint8, read-only: HR image `i`, cropped to a multiple of the scale."""
        height, width = self.size(i)
        return self.uncropped_hr(i)[:height, :width]

    def uncropped_hr(self, i: int) -> Pixels:
        """(H, W, C) uint8, read-only: HR image `i` as stored."""
        place = self._places[i]
        return self._view(self._hr, self._hr_ends, place, *self.index.sizes[place])

    def lr(self, i: int) -> Pixels:
        """(H/scale, W/scale, C) uint8, read-only: LR image `i`."""
        place = self._places[i]
        height, width = (side // self.scale for side in self.index.sizes[place])
        return self._view(self._lr, self._lr_ends, place, height, width)

    def overlaps(self, other: "PackedImages") -> bool:
        """Whether it has images in common with another part, or the whole, of the same split."""
        return self.folder == other.folder and not {*self.names}.isdisjoint(other.names)

    def verify(self, *, trust_times: bool = False) -> None:
        """Raise DataError if a byte of the files differs from what was written.

        Args:
            trust_times: Read only files whose time of change is not the one in the index, as that
                of a copy is not. Each is read once per process.
        """
        for file in (self.index.hr, self.index.lr):
            path = self.folder / file.name
            time = path.stat().st_mtime_ns
            if trust_times and time == file.mtime_ns:
                continue
            found = _sha256_at(path, time) if trust_times else file_sha256(path)
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
        hr = self.read_hr(scale)
        return in_channels(self.images.lr(self.index), self.channels).copy(), hr

    def read_hr(self, scale: int) -> Pixels:
        """A copy of HR alone."""
        if scale != self.images.scale:
            raise ArgumentError(
                f"{self.images.name} was opened for a scale of {self.images.scale}, and "
                f"{scale} was requested"
            )
        return in_channels(self.images.hr(self.index), self.channels).copy()


def in_channels(image: Pixels, channels: int) -> Pixels:
    """The image itself, or its luma (BT.601, full range, rounded) if it is RGB and `channels` is 1.

    LR and HR are converted separately: up to rounding, LR is still the downscaled gray HR.
    """
    if image.shape[2] == channels:
        return image
    luma: Pixels = np.rint(image @ LUMA).astype(np.uint8)
    return luma[:, :, np.newaxis]


@cache
def _sha256_at(path: Path, time: int) -> str:
    """The SHA-256 of a file, which was last changed at `time`."""
    return file_sha256(path)
