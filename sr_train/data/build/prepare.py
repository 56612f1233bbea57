"""Preparing data sets for training and evaluation: known ones, and folders of the user's images."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from sr_runtime.errors import ArgumentError, DataError, SRError
from sr_runtime.evaluation.pairs import Pair, find_pairs, sort_pairs
from sr_runtime.storage.temporary import remove_leftovers
from sr_train.data.build.archives import unpacked
from sr_train.data.build.crops import Recipe, cut
from sr_train.data.build.folders import (
    check_is_not_above_images,
    folders_below,
    has_images,
    left_out_of,
)
from sr_train.data.build.packing import remove_unused
from sr_train.data.build.split import Wanted, fingerprint, prepare_split
from sr_train.data.build.unpack import AGAIN
from sr_train.data.catalogue import DATASETS, Split
from sr_train.data.prepared import OWN_SPLIT, known_names
from sr_train.lock import only_process_in

__all__ = ["prepare"]


@dataclass(frozen=True)
class _Options:
    """What was asked of `prepare`, whatever the data set."""

    root: Path
    scale: int
    skip_bad: bool
    hold_out: float
    report: Callable[[str], None]


def prepare(
    item: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] = "data",
    source: str | os.PathLike[str] | None = None,
    scale: int = 4,
    jobs: int = 1,
    skip_bad: bool = False,
    hold_out: float = 0,
    report: Callable[[str], None] = lambda line: None,
) -> Path:
    """Prepare a data set: decode its images once, into files that training reads crops from.

    An undamaged split is left as it is, and another scale is added to it. Waits while another
    process prepares the same data set. If it ends early, ROOT keeps what it had before and gets
    nothing incomplete. On a terminal there are progress bars.

    Args:
        item: A known data set (`div2k`, `flickr2k`, `bsds500`, `free_photos`, `set5`, `set14`), or
            a folder of images, as `sr_runtime.evaluation.pairs.find_pairs` takes it.
        root: The folder of all prepared data sets, `data_root` in a configuration.
        source: A folder that already has the known data set, or the packages that it is cut from;
            None: it is downloaded.
        scale: How many times smaller LR is than HR.
        jobs: Processes that decode images. More than one are spawned, so that a script that calls
            this needs `if __name__ == "__main__":`.
        skip_bad: Leave out the images of a folder that cannot be prepared, and report each. An
            official archive has to be whole.
        hold_out: The share of the images of a folder that is kept apart, as `NAME:val`, which
            `NAME` means as a validation set; as a training set it means the rest, `NAME:train`.
        report: Called with a line of text about each step; `print` shows them.

    Returns:
        ROOT/NAME, the folder of the prepared data set.

    Raises:
        ArgumentError: There is no such data set or folder, or it does not fit the scale.
        DataError: The data set is not as it should be, or an archive is damaged.
        ImageError: An image is damaged, or of a kind that cannot be trained on.
        StorageError: A download failed, or a disk is full or cannot be written.
        OutOfMemoryError: An image, or `jobs` of them, do not fit into memory.
    """
    for option, number in (("scale", scale), ("jobs", jobs)):
        if number < 1:
            raise ArgumentError(f"--{option} is {number}: it must be at least 1")
    if not 0 <= hold_out < 1:
        raise ArgumentError(
            f"--hold-out is {hold_out:g}: it must be at least 0 and below 1, such as 0.2"
        )
    item, options = os.fspath(item), _Options(Path(root), scale, skip_bad, hold_out, report)
    if item in DATASETS and hold_out:
        raise ArgumentError(
            f"--hold-out is for folders of your own images, and {item} has the splits "
            f"{', '.join(DATASETS[item].splits)}: prepare it without"
        )
    if item in DATASETS:
        splits = _official(item, options) if source is None else _given(item, Path(source), options)
    elif source is None:
        splits = [_own(item, options)]
    elif Path(item).is_dir():
        raise ArgumentError(
            "a folder of your own takes no --from (in Python: source), which is for known data "
            "sets and weights: prepare it by a command of its own",
            path=item,
        )
    else:
        raise ArgumentError(
            f"{item} is not a known data set ({', '.join(DATASETS)}), and only these are taken "
            "from a folder with --from (in Python: source): prepare it by itself, without --from"
        )
    folder = options.root / splits[0].name
    made = [options.root / "downloads", *(wanted.folder for wanted in splits)]
    with _alone_in(folder, made, report):
        for wanted in splits:
            prepare_split(wanted, jobs=jobs, report=report)
            remove_unused(wanted.folder)
    return folder


@contextmanager
def _alone_in(folder: Path, made: list[Path], report: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of `folder`; remove what a killed process left in those that can be `made`,
    and afterwards those that were made and left empty."""
    with only_process_in(folder, report):
        for path in made:
            remove_leftovers(path)
        absent = [path for path in made if not path.exists()]
        try:
            yield
        finally:
            for path in absent:
                with suppress(OSError):  # it does not exist, or is not empty
                    path.rmdir()


def _official(name: str, options: _Options) -> list[Wanted]:
    """The splits of a known data set, from its official address."""
    return [
        Wanted(
            name=name,
            split=split,
            root=options.root,
            scale=options.scale,
            images=published.images,
            pairs=_official_pairs(name, published, options),
        )
        for split, published in DATASETS[name].splits.items()
    ]


@contextmanager
def _official_pairs(
    name: str, published: Split, options: _Options
) -> Iterator[tuple[list[Pair], list[SRError]]]:
    archive, folders, root = published.origin, published.named(options.scale), options.root
    if isinstance(archive, Path):
        raise ArgumentError(
            f"{name} is cut from photographs in packages: unpack those that docs/free-photos.md "
            "lists into a folder, and name it with --from (in Python: source)"
        )
    with unpacked(archive, root, folders, options.report) as content:
        found = folders_below(content, folders)
        pairs = find_pairs(found[0]) if found else []
        if len(pairs) != published.images:
            raise DataError(
                f"{len(pairs)} images in a folder {' or '.join(folders)}, where the official "
                f"archive has {published.images}: choose another scale, or {AGAIN}",
                path=root / "downloads" / archive.name,
            )
        yield pairs, []


def _given(name: str, source: Path, options: _Options) -> list[Wanted]:
    """The splits of a known data set that are in a folder."""
    if not source.is_dir():
        raise ArgumentError("not a folder: name the one that has the data set", path=source)
    splits = DATASETS[name].splits
    given = []
    for split, published in splits.items():
        if isinstance(published.origin, Path):
            given.append(_cut(name, split, Recipe(published.origin, source), published, options))
            continue
        folders = folders_below(source, published.named(options.scale))
        if not folders and len(splits) == 1 and has_images(source):
            folders = [source]
        if not folders:
            options.report(f"{name}:{split} is not in {source}")
            continue
        if len(folders) > 1:
            raise ArgumentError(
                f"both {folders[0]} and {folders[1]} have images, and either could be "
                f"{name}:{split}: name the folder above one of them",
                path=source,
            )
        wanted = _of_folder(name, split, source, sort_pairs(folders[0]), options)
        official = published.images
        if wanted.images > official:
            raise ArgumentError(
                f"{wanted.images} images for {name}:{split}, and the official split has "
                f"{official}: name the folder that has {name}, or prepare this one as a data set "
                "of your own",
                path=source,
            )
        if wanted.images < official:
            options.report(
                f"{name}:{split}: {wanted.images} images, where the official split has {official}"
            )
        given.append(wanted)
    if not given:
        names = [folder for split in splits.values() for folder in split.named(options.scale)]
        raise ArgumentError(
            f"no images in a folder {' or '.join(names)}: name the folder that the official "
            "archive unpacks to, or choose another scale",
            path=source,
        )
    return given


def _cut(name: str, split: str, recipe: Recipe, published: Split, options: _Options) -> Wanted:
    return Wanted(
        name=name,
        split=split,
        root=options.root,
        scale=options.scale,
        images=published.images,
        source=str(recipe.source.resolve()),
        fingerprint=recipe.fingerprint,
        skip_bad=options.skip_bad,
        pairs=cut(recipe, options.root / "downloads"),
    )


def _own(item: str, options: _Options) -> Wanted:
    """A folder of the user's images."""
    folder = Path(item)
    if not item or not folder.is_dir():  # Path("") would be the current folder
        if folder.is_file():
            raise ArgumentError("this is a file: name the folder of your images", path=folder)
        raise ArgumentError(f"{item!r} is neither a folder nor {known_names(item)}")
    name = folder.resolve().name
    if name in DATASETS or not name or set(name) & set(":+"):
        raise ArgumentError(
            f"its name {name!r}, which the data set would have, is that of a known one, is empty, "
            "or has a : or +: rename the folder",
            path=folder,
        )
    check_is_not_above_images(folder)
    pairs, unpaired = sort_pairs(folder)
    used = {path for pair in pairs for path in (pair.hr, pair.lr)} | {e.path for e in unpaired}
    if left_out := left_out_of(folder, used):
        options.report(f"{name}: left out: {left_out}")
    return _of_folder(name, OWN_SPLIT, folder, (pairs, unpaired), options)


def _of_folder(
    name: str,
    split: str,
    source: Path,
    found: tuple[list[Pair], list[SRError]],
    options: _Options,
) -> Wanted:
    pairs, unpaired = found
    return Wanted(
        name=name,
        split=split,
        root=options.root,
        scale=options.scale,
        images=len(pairs) + len(unpaired),
        source=str(source.resolve()),
        fingerprint=fingerprint(pairs),
        skip_bad=options.skip_bad,
        hold_out=options.hold_out,
        pairs=nullcontext(found),
    )
