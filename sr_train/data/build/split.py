"""Preparing one split of a data set, or finding that it is already prepared."""

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from sr_runtime.errors import ArgumentError, SRError, together
from sr_runtime.evaluation.pairs import Pair
from sr_train.data.build.checks import check_pairs
from sr_train.data.build.hold_out import held_out
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

SKIP_HINT = "--skip-bad (in Python: skip_bad) leaves out what is unfit"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A split to prepare for a scale."""

    name: str
    split: str
    root: Path
    scale: int
    images: int
    """Number of images in the official split, or in the user's folder."""
    source: str | None = None
    """The user's folder; None: it is made from the official archive."""
    fingerprint: str | None = None
    """`fingerprint` of that folder."""
    skip_bad: bool = False
    """Leave out images that cannot be prepared."""
    hold_out: float = 0
    """The share of the images to hold out for validation."""
    pairs: AbstractContextManager[tuple[list[Pair], list[SRError]]]
    """The images, and the errors of files that are in no pair: entered only if they are needed,
    since this may download them."""

    def __str__(self) -> str:
        return f"{self.name}:{self.split} for a scale of {self.scale}"

    @property
    def folder(self) -> Path:
        """Where it is packed."""
        return self.root / self.name / self.split

    @property
    def command(self) -> str:
        """The command line that prepares it."""
        command = prepare_command(self.name, self.root, self.scale, self.source, self.hold_out)
        return f"{command} --skip-bad" if self.skip_bad else command

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
        index = remember_times(wanted.folder, wanted.scale)
        part = f" with {len(index.names)} of {wanted.images} images" if wanted.skip_bad else ""
        before, chosen = index.held_out, _held_out(wanted, index.names)
        if chosen != before:
            index = replace(index, held_out=chosen, command=wanted.command)
            index.write(wanted.folder)
        division = _division(index) or ("; none is held out any more" if before else "")
        report(f"{wanted}: already prepared{part}, checksums verified{division}")
        return
    if packed := _packed_for_another_scale(wanted):
        index = replace(
            packed.index,
            scale=wanted.scale,
            command=wanted.command,
            lr=PackedFile(f"lr_x{wanted.scale}.bin"),
            held_out=_held_out(wanted, packed.index.names),
        )
        pack_scale(packed, index, wanted.folder, jobs=jobs)
        report(
            f"{wanted}: {len(packed)} images, shrunk from those prepared for {packed.scale}"
            f"{_division(index)}"
        )
        return
    with wanted.pairs as (pairs, unpaired):

        def judge(names: Sequence[str], damaged: Sequence[SRError]) -> Sequence[str]:
            _leave_out(wanted, [*unpaired, *unfit, *damaged], len(names), report)
            return _held_out(wanted, names)

        gray_among_rgb = not wanted.is_own
        candidates, unfit = check_pairs(pairs, wanted.scale, gray_among_rgb=gray_among_rgb)
        if not candidates:
            raise together([*unpaired, *unfit])
        shared = len(candidates) == wanted.images and all(pair.lr is None for pair in pairs)
        index = Index(
            name=wanted.name,
            split=wanted.split,
            scale=wanted.scale,
            channels=1 if all(candidate.gray for candidate in candidates) else 3,
            names=tuple(candidate.pair.name for candidate in candidates),
            sizes=tuple(candidate.size for candidate in candidates),
            hr=PackedFile(SHARED_HR if shared else f"hr_x{wanted.scale}.bin"),
            lr=PackedFile(f"lr_x{wanted.scale}.bin"),
            command=wanted.command,
            source=wanted.source,
            fingerprint=wanted.fingerprint,
        )
        index = pack_images(
            candidates,
            index,
            wanted.folder,
            jobs=jobs,
            judge=judge,
            report=report,
        )
    report(f"{wanted}: {len(index.names)} images packed{_division(index)}")


def _leave_out(
    wanted: Wanted, unfit: Sequence[SRError], others: int, report: Callable[[str], None]
) -> None:
    """Report images that are left out; raise an error for all of them if they must not be."""
    if unfit and not (wanted.skip_bad and others):
        hint = "" if wanted.skip_bad or wanted.source is None else SKIP_HINT
        raise together(unfit, hint=hint)
    for error in unfit:
        report(f"{wanted}: left out: {error}")


def _held_out(wanted: Wanted, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the named images that are to be held out."""
    if not wanted.hold_out:
        return ()
    with wanted.pairs as (pairs, _):
        return held_out([pair for pair in pairs if pair.name in {*names}], wanted.hold_out)


def _division(index: Index) -> str:
    """The end of a report: how many images are trained on, and how many are held out."""
    held = len(index.held_out)
    return f"; {len(index.names) - held} to train on, {held} to validate with" if held else ""


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
    if wanted.source is None:
        return (
            f"{len(packed)} images of {packed.index.source}, where the official split has "
            f"{wanted.images}"
        )
    if wanted.fingerprint == packed.index.fingerprint:
        return f"{wanted.images - len(packed)} of {wanted.images} images were left out of it"
    return f"its images are not those that `{packed.index.command}` packed"


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
    complete = len(index.names) == wanted.images
    if wanted.source is None:
        return index.source is None or complete
    return wanted.fingerprint == index.fingerprint and (complete or wanted.skip_bad)
