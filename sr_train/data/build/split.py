"""Preparing one split of a data set, or finding that it is already prepared.

Images are checked by their headers before any is decoded.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sr_runtime.errors import ArgumentError, DataError, ImageError, SRError
from sr_runtime.evaluation.pairs import Pair
from sr_runtime.image import Header, read_header
from sr_train.data.build.packing import pack_images, pack_scale
from sr_train.data.packed_dataset import PackedImages
from sr_train.data.packed_index import (
    Index,
    PackedFile,
    index_path,
    indexes,
    remember_times,
)
from sr_train.data.prepared import OWN_SPLIT, prepare_command

__all__ = ["Wanted", "fingerprint", "prepare_split"]

# HR file of a split whose LR images are all made here: then HR is the same for every scale.
SHARED_HR = "hr.bin"

NAMED = 20
"""Images that a message names, at most."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A split to prepare for a scale."""

    name: str
    split: str
    root: Path
    scale: int
    images: int | None = None
    """Number of images in the official split; None: it is made from the images of a folder."""
    source: str | None = None
    """The user's folder; None: it is made from the official archive."""
    fingerprint: str | None = None
    """`fingerprint` of that folder."""
    pairs: AbstractContextManager[list[Pair]]
    """The images: entered only if they are needed, since this may download them."""

    def __str__(self) -> str:
        return f"{self.name}:{self.split} for a scale of {self.scale}"

    @property
    def folder(self) -> Path:
        """Where it is packed."""
        return self.root / self.name / self.split

    @property
    def command(self) -> str:
        """The command line that prepares it."""
        return prepare_command(self.name, self.root, self.scale, self.source)

    @property
    def is_own(self) -> bool:
        """Whether it is a folder of the user's images and not a known data set."""
        return self.split == OWN_SPLIT


def prepare_split(wanted: Wanted, *, jobs: int, report: Callable[[str], None]) -> None:
    """Pack the pairs of a split, unless it is there and its checksums are right.

    `report` gets one line about what was done.
    """
    if wanted.is_own:
        _check_is_of_same_folder(wanted)
    if fault := _fault(wanted):
        report(f"{wanted}: making it again: {fault}")
    elif index_path(wanted.folder, wanted.scale).exists():
        remember_times(wanted.folder, wanted.scale)
        report(f"{wanted}: already prepared, checksums verified")
        return
    if packed := _packed_for_another_scale(wanted):
        index = replace(
            packed.index,
            scale=wanted.scale,
            command=wanted.command,
            lr=PackedFile(f"lr_x{wanted.scale}.bin"),
        )
        pack_scale(packed, index, wanted.folder, jobs=jobs)
        report(f"{wanted}: {len(packed)} images, shrunk from those prepared for {packed.scale}")
        return
    with wanted.pairs as pairs:
        sizes, channels = _check_pairs(pairs, wanted.scale, gray_among_rgb=not wanted.is_own)
        shared = all(pair.lr is None for pair in pairs)
        index = Index(
            name=wanted.name,
            split=wanted.split,
            scale=wanted.scale,
            channels=channels,
            names=tuple(pair.name for pair in pairs),
            sizes=tuple(sizes),
            hr=PackedFile(SHARED_HR if shared else f"hr_x{wanted.scale}.bin"),
            lr=PackedFile(f"lr_x{wanted.scale}.bin"),
            command=wanted.command,
            source=wanted.source,
            fingerprint=wanted.fingerprint,
        )
        pack_images(pairs, index, wanted.folder, jobs=jobs, report=report)
    report(f"{wanted}: {len(pairs)} images packed")


def fingerprint(pairs: Sequence[Pair]) -> str:
    """A digest that changes when a file is added, removed, renamed or written."""
    digest = hashlib.sha256()
    for path in (path for pair in pairs for path in (pair.hr, pair.lr) if path is not None):
        facts = path.stat()
        # Names are bytes, not always UTF-8.
        digest.update(os.fsencode(path.name))
        digest.update(f"/{facts.st_size}/{facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _check_is_of_same_folder(wanted: Wanted) -> None:
    """Raise ArgumentError if another folder of the same name is prepared: it would be replaced.

    A folder that was moved with its files counts as the same.
    """
    for index in indexes(wanted.folder):
        if index.source != wanted.source and index.fingerprint != wanted.fingerprint:
            raise ArgumentError(
                f"{wanted.name} is already prepared from {index.source}: rename the folder "
                f"{wanted.source}, or delete {wanted.root / wanted.name}"
            )


def _fault(wanted: Wanted) -> str | None:
    """Why a split that exists has to be made again; None if it does not exist or is right."""
    if not index_path(wanted.folder, wanted.scale).exists():
        return None
    try:
        packed = PackedImages(wanted.folder, wanted.scale)
        packed.verify()
    except SRError as error:
        return str(error)
    if _is_made_from(wanted, packed.index):
        return None
    if wanted.images is None:
        return f"its images are not those that `{packed.index.command}` found"
    return (
        f"{len(packed)} images of {packed.index.source}, where the official split has "
        f"{wanted.images}"
    )


def _packed_for_another_scale(wanted: Wanted) -> PackedImages | None:
    """The same HR images, undamaged and large enough to be shrunk as wanted."""
    for index in indexes(wanted.folder):
        if (
            index.hr.name == SHARED_HR
            and index.scale != wanted.scale
            and _is_made_from(wanted, index)
            and min(map(min, index.sizes)) >= wanted.scale
        ):
            with suppress(SRError):  # a damaged one counts as if it did not exist
                packed = PackedImages(wanted.folder, index.scale)
                packed.verify()
                return packed
    return None


def _is_made_from(wanted: Wanted, index: Index) -> bool:
    if wanted.images is None:
        return wanted.fingerprint == index.fingerprint
    return index.source is None or len(index.names) == wanted.images


def _check_pairs(
    pairs: Sequence[Pair], scale: int, *, gray_among_rgb: bool
) -> tuple[list[tuple[int, int]], int]:
    """Height and width of each HR image, and the number of channels of all.

    Args:
        gray_among_rgb: Accept gray images among RGB ones, as benchmarks have them; they will be
            read as R = G = B.

    Raises:
        ImageError: An image cannot be trained on.
        DataError: An image is smaller than `scale` or gray among RGB, or an LR image differs in
            size from its shrunk HR image.
        ArgumentError: Most images are smaller than `scale`.
    """
    sizes: list[tuple[int, int]] = []
    gray: list[Path] = []
    colored: list[Path] = []
    unfit: list[SRError] = []
    for pair in pairs:
        try:
            header = _checked_header(pair.hr)
            sizes.append((header.height, header.width))
            headers = {pair.hr: header}
            if pair.lr is not None:
                headers[pair.lr] = _check_lr(pair.lr, header, scale)
        except (DataError, ImageError) as error:
            unfit.append(error)
            continue
        for path, found in headers.items():
            (gray if found.gray else colored).append(path)
    if unfit:
        raise _together(unfit)
    _check_sizes(pairs, sizes, scale)
    if gray and colored and not gray_among_rgb:
        raise DataError(
            f"grayscale ({len(gray)} of {len(gray) + len(colored)} images): convert them to "
            "RGB, or prepare them as a data set of their own",
            path=gray[0],
        )
    return sizes, 3 if colored else 1


def _together(errors: Sequence[SRError]) -> SRError:
    """The first error, which names all the others' images too: one attempt finds them all."""
    first, *others = errors
    if others:
        reasons = [error.args[0].partition(":")[0] for error in others[:NAMED]]
        names = [
            f"{error.path.name if error.path else 'an image'} ({reason})"
            for error, reason in zip(others, reasons, strict=False)
        ]
        more = f" and {len(others) - NAMED} more" if len(others) > NAMED else ""
        first.args = (
            f"{first.args[0]}; {len(others)} other images cannot be prepared either: "
            f"{', '.join(names)}{more}",
        )
    return first


def _checked_header(path: Path) -> Header:
    """The header of an image that can be trained on; raises ImageError for any other."""
    header = read_header(path)
    if header.frames > 1:
        raise ImageError(
            f"{header.frames} frames or pages: save those you want as files of their own", path=path
        )
    if header.bits > 8:
        raise ImageError(f"{header.bits} bits per channel: convert it to 8", path=path)
    if header.alpha:
        raise ImageError("an alpha channel: flatten it, or save it without", path=path)
    return header


def _check_sizes(pairs: Sequence[Pair], sizes: Sequence[tuple[int, int]], scale: int) -> None:
    small = [i for i, size in enumerate(sizes) if min(size) < scale]
    if 2 * len(small) > len(sizes):  # then the scale is wrong, not the images
        height, width = min(sizes, key=min)
        raise ArgumentError(
            f"--scale {scale} is too large for {len(small)} of {len(sizes)} images, the smallest "
            f"of {height}×{width} pixels: choose a smaller scale"
        )
    if small:
        height, width = sizes[small[0]]
        raise DataError(
            f"{height}×{width} pixels cannot be shrunk {scale} times: remove it",
            path=pairs[small[0]].hr,
        )


def _check_lr(path: Path, hr: Header, scale: int) -> Header:
    lr = _checked_header(path)
    if (lr.height, lr.width) != (hr.height // scale, hr.width // scale):
        raise DataError(
            f"{lr.height}×{lr.width} pixels, and its HR image of {hr.height}×{hr.width} shrunk "
            f"{scale} times has {hr.height // scale}×{hr.width // scale}: use images made for a "
            f"scale of {scale}",
            path=path,
        )
    return lr
