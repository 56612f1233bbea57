"""The images of a super-resolution data set, however its folder is laid out."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError
from sr_runtime.image import IMAGE_SUFFIXES, read
from sr_runtime.resize import downscale, mod_crop

__all__ = ["Pair", "find_pairs"]


@dataclass(frozen=True)
class Pair:
    """One high-resolution image, with the low-resolution one that was made from it."""

    name: str
    hr: Path
    lr: Path | None
    """None: to be made by MATLAB's bicubic, as the benchmarks' own."""

    def read(self, scale: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The low-resolution image (H, W, C), and the mod-cropped high-resolution one.

        Raises ArgumentError if the second is not exactly `scale` times as high and wide.
        """
        hr = mod_crop(read(self.hr).frames[0], scale)
        lr = downscale(hr, scale) if self.lr is None else read(self.lr).frames[0]
        if hr.shape[:2] != (scale * lr.shape[0], scale * lr.shape[1]):
            raise ArgumentError(
                f"{self.name}: {hr.shape[0]}×{hr.shape[1]} pixels are not {scale} times "
                f"{lr.shape[0]}×{lr.shape[1]}: choose a data set made for a scale of {scale}"
            )
        return lr, hr


def find_pairs(folder: str | os.PathLike[str]) -> list[Pair]:
    """The images of `folder`, sorted by name.

    `NAME_HR.png` beside `NAME_LR.png`; or folders `HR` and `LR` with equal names; or images alone,
    which are all high-resolution. Raises ArgumentError if there are none or some lack a partner.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ArgumentError(f"{folder} is not a folder: pass one that holds a data set's images")
    lr: dict[str, Path] | dict[str, None]
    if (folder / "HR").is_dir() and (folder / "LR").is_dir():
        hr, lr = _images(folder / "HR"), _images(folder / "LR")
    else:
        hr, lr = _images(folder, "_HR"), _images(folder, "_LR")
        if not hr and not lr:
            hr = _images(folder)
            lr = dict.fromkeys(hr)
    if not hr and not lr:
        raise ArgumentError(
            f"{folder} holds no images: expected NAME_HR.png beside NAME_LR.png, folders HR and "
            "LR with equal names, or high-resolution images alone"
        )
    if unpaired := sorted(hr.keys() ^ lr.keys()):
        raise ArgumentError(
            f"{folder} holds only one of HR and LR for {len(unpaired)} of its images, "
            f"{unpaired[0]} first: add the other or remove them"
        )
    return [Pair(name, hr[name], lr[name]) for name in sorted(hr)]


def _images(folder: Path, ending: str = "") -> dict[str, Path]:
    """The images whose stem has this ending, by the stem without it."""
    images: dict[str, Path] = {}
    for path in folder.iterdir():
        if path.suffix.lower() in IMAGE_SUFFIXES and path.stem.endswith(ending):
            name = path.stem.removesuffix(ending)
            if name in images:
                raise ArgumentError(f"{path} and {images[name].name} are one name: remove either")
            images[name] = path
    return images
