"""Preparing data sets: known ones and one's own."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from sr_runtime.errors import ArgumentError
from sr_runtime.image import IMAGE_SUFFIXES
from sr_runtime.evaluation.pairs import Pair, find_pairs
from sr_train.data.build.archives import unpacked
from sr_train.data.build.catalogue import DATASETS, Split
from sr_train.data.build.split import Wanted, check_is_of_same_folder, prepare_split
from sr_train.data.prepared import OWN_SPLIT, known_names, prepare_command
from sr_train.data.build.source_images import fingerprint
from sr_train.lock import only_process_in

__all__ = ["prepare"]


def prepare(item: str, *, root: Path, source: Path | None, scale: int, jobs: int) -> Path:
    """Make ROOT/NAME from a known data set, or from a folder of one's own images.

    What is prepared and whole is left as it is, and another scale is added to it; both are said.
    Waits while another process prepares the same data set. SIGTERM ends it as Ctrl-C does.

    Args:
        item: A name of DATASETS, or a folder as `sr_runtime.evaluation.pairs.find_pairs` takes it.
        source: A folder that has the known data set already, in place of its official address.
        scale: How many times LR is smaller than HR.
        jobs: Processes that decode images.

    Raises ArgumentError or ImageError, naming file and remedy; nothing is left half made.
    """
    for name, number in (("scale", scale), ("jobs", jobs)):
        if number < 1:
            raise ArgumentError(f"--{name} is {number}: it must be at least 1")
    if item not in DATASETS:
        return _prepare_own(item, root, source, scale, jobs)
    with _working_on(item, tuple(DATASETS[item].splits), root):
        if source is None:
            _prepare_official(item, root, scale, jobs)
        else:
            _prepare_from(item, source, root, scale, jobs)
    return root / item


@contextmanager
def _working_on(name: str, splits: tuple[str, ...], root: Path) -> Iterator[None]:
    """Alone, and leaving no empty folder that was not there before, even after SIGTERM."""
    with _terminated_as_interrupted(), only_process_in(root / name):
        folders = [root / "downloads", *(root / name / split for split in splits)]
        absent = [folder for folder in folders if not folder.exists()]
        try:
            yield
        finally:
            for folder in absent:
                with suppress(OSError):  # there is none, or something is in it
                    folder.rmdir()


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, where it is in our hands."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _prepare_official(name: str, root: Path, scale: int, jobs: int) -> None:
    for split, published in DATASETS[name].splits.items():
        wanted = Wanted(
            name=name,
            split=split,
            root=root,
            scale=scale,
            command=prepare_command(name, root, scale),
            images=published.images,
        )
        pairs = _pairs_of_archive(published, root, scale)
        prepare_split(wanted, pairs, jobs=jobs, gray_among_rgb=True)


@contextmanager
def _pairs_of_archive(published: Split, root: Path, scale: int) -> Iterator[list[Pair]]:
    folders = published.named(scale)
    with unpacked(published.archive, root, folders) as content:
        if not (found := _folders_below(content, folders)):
            raise _nothing_in(root / "downloads" / published.archive.name, folders)
        yield find_pairs(found[0])


def _prepare_from(name: str, source: Path, root: Path, scale: int, jobs: int) -> None:
    splits = DATASETS[name].splits
    found = {}
    for split, published in splits.items():
        folders = _folders_below(source, published.named(scale))
        if not folders and len(splits) == 1 and _has_images(source):
            folders = [source]
        if len(folders) > 1:
            raise ArgumentError(
                f"{source} holds {folders[0]} and {folders[1]}, and either could be {name}:{split}:"
                " name the folder above one of them"
            )
        if folders:
            found[split] = find_pairs(folders[0])
        else:
            print(f"{name}:{split} is not in {source}")
    if not found:
        raise _nothing_in(source, sum((split.named(scale) for split in splits.values()), ()))
    for split, pairs in found.items():
        if len(pairs) > splits[split].images:
            raise ArgumentError(
                f"{source} has {len(pairs)} images for {name}:{split}, where the official split "
                f"has {splits[split].images}: name the folder that has {name}, or prepare this one "
                "as a data set of your own"
            )
    for split, pairs in found.items():
        if len(pairs) < splits[split].images:
            print(
                f"{name}:{split}: {len(pairs)} images, where the official split has "
                f"{splits[split].images}"
            )
        wanted = Wanted(
            name=name,
            split=split,
            root=root,
            scale=scale,
            command=prepare_command(name, root, scale, source),
            source=str(source.resolve()),
            fingerprint=fingerprint(pairs),
        )
        prepare_split(wanted, nullcontext(pairs), jobs=jobs, gray_among_rgb=True)


def _prepare_own(item: str, root: Path, source: Path | None, scale: int, jobs: int) -> Path:
    folder = Path(item)
    if source is not None:
        raise ArgumentError(
            f"--from tells where a known data set ({', '.join(DATASETS)}) lies, and {item} is "
            "none: leave it out"
        )
    if not folder.is_dir():
        raise ArgumentError(f"{item} is neither a folder nor {known_names(item)}")
    name = folder.resolve().name
    if name in DATASETS or not name or set(name) & set(":+"):
        raise ArgumentError(
            f"{folder}: a data set goes by the name of its folder, and {name!r} is that of a known "
            "one, or has a : or +: rename the folder"
        )
    _check_is_not_above_images(folder)
    pairs = find_pairs(folder)
    wanted = Wanted(
        name=name,
        split=OWN_SPLIT,
        root=root,
        scale=scale,
        command=prepare_command(item, root, scale),
        source=str(folder.resolve()),
        fingerprint=fingerprint(pairs),
    )
    with _working_on(name, (OWN_SPLIT,), root):
        check_is_of_same_folder(wanted)
        prepare_split(wanted, nullcontext(pairs), jobs=jobs, gray_among_rgb=False)
    return root / name


def _check_is_not_above_images(folder: Path) -> None:
    if _has_images(folder) or ((folder / "HR").is_dir() and (folder / "LR").is_dir()):
        return
    for below in sorted(folder.iterdir()):
        if below.is_dir() and _has_images(below):
            raise ArgumentError(
                f"{folder} holds no images, but its subfolders hold some: prepare one of them, "
                f"as {below}"
            )


def _folders_below(source: Path, names: tuple[str, ...]) -> list[Path]:
    """The folder itself and those in it, at any depth, with such a name and with images."""
    if not source.is_dir():
        raise ArgumentError(f"{source} is not a folder: name the one that has the data set")
    return [
        path
        for path in (source.resolve(), *sorted(source.rglob("*")))
        if path.name in names and path.is_dir() and _has_images(path)
    ]


def _has_images(folder: Path) -> bool:
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())


def _nothing_in(source: Path, folders: tuple[str, ...]) -> ArgumentError:
    return ArgumentError(
        f"{source} has no folder {' or '.join(folders)} with images in it: name the folder that "
        "the official archive unpacks to, or another scale"
    )
