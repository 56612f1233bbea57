"""The pairs of low- and high-resolution images in a data set's folder, whatever its layout."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError, DataError
from sr_runtime.image import IMAGE_SUFFIXES, read_still
from sr_runtime.resize import downscale, mod_crop

__all__ = ["Pair", "find_pairs"]


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
        hr = mod_crop(read_still(self.hr), scale)
        lr = downscale(hr, scale) if self.lr is None else read_still(self.lr)
        if hr.shape[:2] != (scale * lr.shape[0], scale * lr.shape[1]):
            raise DataError(
                f"its {hr.shape[0]}×{hr.shape[1]} pixels are not {scale} times the LR image's "
                f"{lr.shape[0]}×{lr.shape[1]}: use a data set made for a scale of {scale}",
                path=self.hr,
            )
        return lr, hr


def find_pairs(folder: str | os.PathLike[str]) -> list[Pair]:
    """The images of `folder`, sorted by name.

    It holds `NAME_HR.png` beside `NAME_LR.png`, or folders `HR` and `LR` with files of equal names,
    or images alone, which are all high-resolution.

    Raises:
        ArgumentError: `folder` is not a folder.
        DataError: It has no images, an image lacks its partner, or two share a name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ArgumentError("not a folder: pass one that holds a data set's images", path=folder)
    lr: dict[str, Path] | dict[str, None]
    if (folder / "HR").is_dir() and (folder / "LR").is_dir():
        hr, lr = _images(folder / "HR"), _images(folder / "LR")
    else:
        hr, lr = _images(folder, "_HR"), _images(folder, "_LR")
        if not hr and not lr:
            hr = _images(folder)
            lr = dict.fromkeys(hr)
    if not hr and not lr:
        raise DataError(
            "the folder holds no images: it takes NAME_HR.png beside NAME_LR.png, folders HR and "
            "LR with files of equal names, or high-resolution images alone",
            path=folder,
        )
    if unpaired := sorted(hr.keys() ^ lr.keys()):
        raise DataError(
            f"HR or LR is missing for {len(unpaired)} of its images, {unpaired[0]} first: add the "
            "missing files or remove these images",
            path=folder,
        )
    return [Pair(name, hr[name], lr[name]) for name in sorted(hr)]


def _images(folder: Path, ending: str = "") -> dict[str, Path]:
    """The images whose stem has this ending, by the stem without it."""
    images: dict[str, Path] = {}
    for path in folder.iterdir():
        if path.suffix.lower() in IMAGE_SUFFIXES and path.stem.endswith(ending):
            name = path.stem.removesuffix(ending)
            if name in images:
                raise DataError(
                    f"{path.name} and {images[name].name} share a name: remove either", path=folder
                )
            images[name] = path
    return images
