"""Making one split of a data set, or finding that there is nothing to make."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from sr_runtime.errors import ArgumentError
from sr_runtime.evaluation.pairs import Pair
from sr_train.data.packed_dataset import Index, PackedFile, PackedImages, index_path
from sr_train.data.build.packing import pack_images, pack_scale
from sr_train.data.build.source_images import check_pairs

__all__ = ["Wanted", "check_is_of_same_folder", "prepare_split"]

# Of a split whose LR images are all made here: then HR is the same for every scale.
SHARED_HR = "hr.bin"


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A split that is to be prepared for a scale."""

    name: str
    split: str
    root: Path
    scale: int
    command: str
    """What the user runs to have it made."""
    images: int | None = None
    """How many the official split has; None: it is made from what a folder has."""
    source: str | None = None
    """The user's folder; None: it is made from the official archive."""
    fingerprint: str | None = None
    """Of the files of that folder."""

    @property
    def folder(self) -> Path:
        """Where it is packed."""
        return self.root / self.name / self.split

    def report(self, what: str) -> None:
        """Print what becomes of it."""
        print(f"{self.name}:{self.split} for a scale of {self.scale}: {what}")


def prepare_split(
    wanted: Wanted,
    opened_pairs: AbstractContextManager[list[Pair]],
    *,
    jobs: int,
    gray_among_rgb: bool,
) -> None:
    """Pack the pairs of a split, unless it is there and whole; its checksums tell.

    `opened_pairs` is entered only if they are needed: that may download them.
    """
    if _is_whole(wanted):
        wanted.report("already prepared, checksums verified")
    elif packed := _of_another_scale(wanted):
        index = replace(
            packed.index,
            scale=wanted.scale,
            command=wanted.command,
            lr=PackedFile(f"lr_x{wanted.scale}.bin"),
        )
        pack_scale(packed, index, wanted.folder, jobs=jobs)
        wanted.report(f"{len(packed)} images, shrunk from those prepared for {packed.scale}")
    else:
        with opened_pairs as pairs:
            sizes, channels = check_pairs(pairs, wanted.scale, gray_among_rgb=gray_among_rgb)
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
            pack_images(pairs, index, wanted.folder, jobs=jobs)
        wanted.report(f"{len(pairs)} images packed")


def check_is_of_same_folder(wanted: Wanted) -> None:
    """Raise ArgumentError for the name of another folder's images, which would be replaced.

    A folder that was moved with its files is the same.
    """
    for path in wanted.folder.glob("x*.json"):
        try:
            index = Index.read(path)
        except ArgumentError:  # then they are made again
            continue
        if index.source != wanted.source and index.fingerprint != wanted.fingerprint:
            raise ArgumentError(
                f"{wanted.name} is prepared from {index.source} already: rename the folder "
                f"{wanted.source}, or delete {wanted.root / wanted.name}"
            )


def _is_whole(wanted: Wanted) -> bool:
    if not index_path(wanted.folder, wanted.scale).exists():
        return False
    try:
        packed = PackedImages(wanted.folder, wanted.scale)
        packed.verify()
    except ArgumentError as error:
        wanted.report(f"making it again: {error}")
        return False
    if _is_made_from(wanted, packed.index):
        return True
    if wanted.images is None:
        reason = f"its images are not those that `{packed.index.command}` was given"
    else:
        reason = (
            f"{len(packed)} images of {packed.index.source}, where the official split has "
            f"{wanted.images}"
        )
    wanted.report(f"making it again: {reason}")
    return False


def _of_another_scale(wanted: Wanted) -> PackedImages | None:
    """What has the same HR images, whole and large enough to be shrunk as wanted."""
    for path in sorted(wanted.folder.glob("x*.json")):
        try:
            packed = PackedImages(wanted.folder, Index.read(path).scale)
            packed.verify()
        except ArgumentError:  # then they are made from the source, as if there were none
            continue
        if (
            packed.index.hr.name == SHARED_HR
            and packed.scale != wanted.scale
            and _is_made_from(wanted, packed.index)
            and min(map(min, packed.index.sizes)) >= wanted.scale
        ):
            return packed
    return None


def _is_made_from(wanted: Wanted, index: Index) -> bool:
    if wanted.images is None:
        return wanted.fingerprint == index.fingerprint
    return index.source is None or len(index.names) == wanted.images
