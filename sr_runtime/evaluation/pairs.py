"""The pairs of low- and high-resolution images in a data set's folder, whatever its layout."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError, DataError, SRError, StorageError, together
from sr_runtime.image import IMAGE_SUFFIXES, read_still
from sr_runtime.resize import downscale, mod_crop

__all__ = ["Pair", "find_pairs", "sort_pairs"]


@dataclass(frozen=True)
class Pair:
    """A high-resolution image and the low-resolution one that was made from it."""

    name: str
    hr: Path
    lr: Path | None
    """None: `read` makes it by MATLAB's bicubic, as the benchmarks made theirs."""

    def read(self, scale: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """LR `(h, w, C)`, and HR `(scale·h, scale·w, C)` cropped to a multiple of `scale`.

        Raises DataError if HR is not exactly `scale` times as high and wide as LR, and ImageError
        for an animation.
        """
        hr = self.read_hr(scale)
        lr = downscale(hr, scale) if self.lr is None else read_still(self.lr)
        if hr.shape[:2] != (scale * lr.shape[0], scale * lr.shape[1]):
            raise DataError(
                f"its {hr.shape[0]}×{hr.shape[1]} pixels are not {scale} times the LR image's "
                f"{lr.shape[0]}×{lr.shape[1]}: use a data set made for a scale of {scale}",
                path=self.hr,
            )
        return lr, hr

    def read_hr(self, scale: int) -> NDArray[Any]:
        """HR alone, cropped to a multiple of `scale`; raises ImageError for an animation."""
        return mod_crop(read_still(self.hr), scale)


def find_pairs(folder: str | os.PathLike[str]) -> list[Pair]:
    """The images of `folder`, sorted by name.

    It holds `NAME_HR.png` beside `NAME_LR.png`, or folders `HR` and `LR` with files of equal names,
    or images alone, which are all high-resolution. In `LR`, a name may end in its scale, as
    `0001x4.png` for `0001.png`. Hidden files are left out.

    Raises:
        ArgumentError: `folder` is not a folder.
        DataError: It has no images, an image lacks its partner, or two share a name.
        StorageError: It cannot be read.
    """
    pairs, unfit = sort_pairs(folder)
    if unfit:
        raise together(unfit)
    return pairs


def sort_pairs(folder: str | os.PathLike[str]) -> tuple[list[Pair], list[SRError]]:
    """As `find_pairs`, but with the errors of the files that are in no pair."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ArgumentError("not a folder: pass one that holds a data set's images", path=folder)
    unfit: list[SRError] = []
    alone = False
    try:
        if (folder / "HR").is_dir() and (folder / "LR").is_dir():
            hr = _images(folder / "HR", str, unfit)
            lr = _images(folder / "LR", lambda stem: _without_scale(stem, hr), unfit)
        else:
            hr = _images(folder, lambda stem: _without(stem, "_HR"), unfit)
            lr = _images(folder, lambda stem: _without(stem, "_LR"), unfit)
            if alone := not (hr or lr):
                hr = _images(folder, str, unfit)
    except OSError as error:
        raise StorageError(f"cannot be read ({error.strerror})", path=folder) from error
    if not (hr or lr or unfit):
        raise DataError(
            "the folder holds no images: it takes NAME_HR.png beside NAME_LR.png, folders HR and "
            "LR with files of equal names, or high-resolution images alone",
            path=folder,
        )
    if not alone:
        for name in sorted(hr.keys() ^ lr.keys()):
            kind, path = ("LR", hr.pop(name)) if name in hr else ("HR", lr.pop(name))
            unfit.append(DataError(f"it has no {kind} image: add it or remove this one", path=path))
    return [Pair(name, hr[name], lr.get(name)) for name in sorted(hr)], unfit


def _images(
    folder: Path, name_of: Callable[[str], str | None], unfit: list[SRError]
) -> dict[str, Path]:
    """The images of `folder` by what `name_of` makes of their stems; None leaves one out."""
    images: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name = name_of(path.stem)
        if name is None or path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if not path.is_file():  # a FIFO would be waited for
            unfit.append(DataError("it is not a regular file: remove it", path=path))
        elif name in images:
            unfit.append(
                DataError(f"it shares its name with {images[name].name}: remove either", path=path)
            )
        else:
            images[name] = path
    return images


def _without(stem: str, ending: str) -> str | None:
    return stem.removesuffix(ending) if stem.endswith(ending) else None


def _without_scale(stem: str, hr: Mapping[str, Path]) -> str:
    """The name of the HR image: DIV2K's `0001x4` is the LR of `0001`."""
    return stem if stem in hr else re.sub(r"x\d+$", "", stem, flags=re.IGNORECASE)
