"""Opening prepared data sets by the names that a configuration gives them."""

import shlex
from pathlib import Path
from typing import Literal

from sr_runtime.errors import ArgumentError
from sr_runtime.nearest import nearest
from sr_train.data.catalogue import DATASETS
from sr_train.data.packed_dataset import PackedImages
from sr_train.data.packed_index import Index, index_path, indexes

__all__ = ["OWN_SPLIT", "known_names", "prepare_command", "prepared"]

OWN_SPLIT = "all"
"""The split of a data set made from a folder of the user's images.

`train` and `val` are parts of it, if images are held out.
"""


def prepared(
    specification: str, *, root: Path, scale: int, purpose: Literal["train", "val"]
) -> list[PackedImages]:
    """Open the splits that a configuration names: `bsds500`, `bsds500:train+test`, `my_photos`.

    Of a folder whose images are held out in part, `my_photos` alone means the part for `purpose`.

    Raises:
        ArgumentError: There is no such split, or it is not prepared; the message has the command.
        DataError: The split is damaged.
    """
    _check_is_no_folder(specification, root, scale)
    name, colon, listed = specification.partition(":")
    existing = _splits(name, root, scale)
    splits = listed.split("+") if colon else [_default_split(name, purpose, existing)]
    if len(set(splits)) < len(splits):
        raise ArgumentError(f"{specification} names a split twice: name each of them once")
    for split in splits:
        if split not in existing:
            hint = "" if name in DATASETS else "; --hold-out 0.2 of `prepare` makes train and val"
            raise ArgumentError(
                f"{name} has no split {split!r}: choose {' or '.join(existing)}{hint}"
            )
        if name in DATASETS and not index_path(root / name / split, scale).exists():
            raise _not_prepared(name, split, root, scale)
    sets = [
        PackedImages(root / name / split, scale)
        if name in DATASETS
        else PackedImages(root / name / OWN_SPLIT, scale, split)
        for split in splits
    ]
    for images in sets:
        images.verify(trust_times=True)
    return sets


def _splits(name: str, root: Path, scale: int) -> tuple[str, ...]:
    """The splits that there can be of a known data set, and that there are of another."""
    if name in DATASETS:
        return tuple(DATASETS[name].splits)
    path = index_path(root / name / OWN_SPLIT, scale)
    if not path.exists():
        raise _not_prepared(name, OWN_SPLIT, root, scale)
    return (OWN_SPLIT, "train", "val") if Index.read(path).held_out else (OWN_SPLIT,)


def _default_split(name: str, purpose: Literal["train", "val"], existing: tuple[str, ...]) -> str:
    if name not in DATASETS:
        return purpose if purpose in existing else OWN_SPLIT
    dataset = DATASETS[name]
    split = dataset.train if purpose == "train" else dataset.val
    if split is None:
        use = "training" if purpose == "train" else "validation"
        raise ArgumentError(
            f"{name} has no split for {use}: choose another data set, or name the split to use, "
            f"as in {name}:{next(iter(dataset.splits))}"
        )
    return split


def _check_is_no_folder(specification: str, root: Path, scale: int) -> None:
    folder = Path(specification)
    if specification in DATASETS or index_path(root / specification / OWN_SPLIT, scale).exists():
        return
    if folder.is_dir():
        name = folder.resolve().name
        raise ArgumentError(
            f"{specification} is a folder and not a data set prepared for a scale of {scale}: run "
            f"`{prepare_command(name, root, scale, specification)}`, then name it {name}"
        )


def _not_prepared(name: str, split: str, root: Path, scale: int) -> ArgumentError:
    other = next(indexes(root / name / split), None)
    share = len(other.held_out) / len(other.names) if other else 0
    source, hint = other.source if other else None, ""
    if name in DATASETS and not source and isinstance(DATASETS[name].splits[split].origin, Path):
        source = "FOLDER"
        hint = ", where FOLDER holds the packages that docs/free-photos.md lists, unpacked"
    command = prepare_command(name, root, scale, source, share)
    if name not in DATASETS and not other:
        hint = f", where FOLDER/{name} holds your images; {name} is not {known_names(name)}"
    return ArgumentError(
        f"{name}:{split} is not prepared for a scale of {scale} in {root}: run `{command}`{hint}"
    )


def known_names(wrong: str) -> str:
    """The known data sets for a message, with the nearest name to a wrong one."""
    return f"a known data set ({', '.join(DATASETS)}){nearest(wrong.lower(), DATASETS)}"


def prepare_command(
    name: str, root: Path, scale: int, source: str | None, hold_out: float = 0
) -> str:
    """The command line that prepares a data set from the folder `source`, for messages."""
    item = name if name in DATASETS else source or f"FOLDER/{name}"
    words = ["prepare", item, "--root", str(root), "--scale", str(scale)]
    if source and name in DATASETS:
        words += ["--from", source]
    if hold_out:
        words += ["--hold-out", f"{hold_out:g}"]
    return f"python -m sr_train {shlex.join(words)}"
