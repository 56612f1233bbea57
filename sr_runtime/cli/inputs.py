"""Which files the words of a command line mean: by name, folder or pattern; what is left out."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

from sr_runtime.batch.job import Failure
from sr_runtime.cli.folders import real_folder
from sr_runtime.cli.pipes import STANDARD, Pipes, is_pipe
from sr_runtime.errors import ArgumentError, SRError, StorageError
from sr_runtime.file_kinds import VIDEO_SUFFIXES, is_video
from sr_runtime.image import IMAGE_SUFFIXES, LEFT_OUT
from sr_runtime.nearest import nearest_file

__all__ = ["EARLIER", "Found", "Source", "could_be_made", "find_images"]

KINDS = 8
"""How many kinds of left-out files are named; the others are counted."""
EARLIER = "image that is named as a result"
"""It is beside the input whose result would be named so, whoever made it."""
PIPE = "pipe or device"
ADVICE = {
    **LEFT_OUT,
    **dict.fromkeys(VIDEO_SUFFIXES, "videos are upscaled if they are named themselves"),
}
PLURALS = {
    "linked folder": "linked folders",
    "subfolder": "subfolders",
    "image in no pair": "images in no pair",
    PIPE: "pipes or devices",
    EARLIER: "images that are named as results",
}


@dataclass(frozen=True, slots=True)
class Source:
    """One image or video to upscale."""

    folder: Path
    name: str
    root: Path | None = None
    """The input folder in which it was found; None: it was named itself."""
    piped: bool = False
    """It is a copy of what came from a pipe."""
    video: bool = False

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / self.name


@dataclass
class Found:
    """The images of a command line."""

    sources: list[Source] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """How many files of each kind were found, and are no inputs."""

    def left_out_text(self) -> str:
        """`2 .heic, 1 .dng (.heic: …)`, or nothing."""
        named = (+self.left_out).most_common(KINDS)
        text = ", ".join(f"{n} {kind if n == 1 else PLURALS.get(kind, kind)}" for kind, n in named)
        if rest := self.left_out.total() - sum(count for _, count in named):
            text += f", {rest} others"
        advice: dict[str, list[str]] = {}
        for kind, _ in named:
            if kind in ADVICE:
                advice.setdefault(ADVICE[kind], []).append(kind)
        hints = "; ".join(f"{' '.join(kinds)}: {hint}" for hint, kinds in advice.items())
        return f"{text} ({hints})" if hints else text


def find_images(
    words: Sequence[str], pipes: Pipes, leave_out: Path | None, *, may_be_empty: bool = False
) -> Found:
    """The images that `words` name, each once; an input that fails does not stop the others.

    Args:
        leave_out: The folder of results, which are no inputs where it lies in an input folder.
        may_be_empty: A folder without images is no failure.
    """
    found, known = Found(), set[tuple[str, str]]()
    for word in words:
        try:
            for path in _paths(word, found):
                # A link of another name is an image of its own, with its own result.
                for source in _images(path, pipes, found, leave_out, may_be_empty):
                    if (key := (real_folder(source.folder), source.name)) not in known:
                        known.add(key)
                        found.sources.append(source)
        except SRError as error:
            found.failures.append(Failure(Path(word), error))
        except OSError as error:
            failure = StorageError(f"cannot be read ({error.strerror})", path=word)
            found.failures.append(Failure(Path(word), failure))
    return found


def could_be_made(word: str) -> bool:
    """Whether a word names nothing that can be read, and is fit to name a result."""
    special = word == STANDARD or "://" in word or glob.has_magic(word)
    return not special and not os.path.lexists(word)


def _paths(word: str, found: Found) -> list[Path]:
    """The path, or those that match a pattern: the shell of Windows leaves them to programs."""
    if "://" in word:
        raise ArgumentError(f"{word} is an address, and only files are read: download it first")
    if word == STANDARD or os.path.lexists(word) or not glob.has_magic(word):
        return [Path(word)]
    if not (matches := sorted(glob.glob(word))):  # noqa: PTH207 (it takes absolute patterns too)
        raise ArgumentError("no file or folder matches this pattern", path=word)
    # Nobody may ever write into a pipe that was not named itself.
    paths = [path for path in map(Path, matches) if not is_pipe(path)]
    found.left_out[PIPE] += len(matches) - len(paths)
    if not paths:
        raise ArgumentError("only pipes or devices match this pattern: name one itself", path=word)
    return paths


def _images(
    path: Path, pipes: Pipes, found: Found, leave_out: Path | None, may_be_empty: bool
) -> Iterator[Source]:
    if str(path) == STANDARD or is_pipe(path):
        copy = pipes.received(path)
        yield Source(copy.parent, copy.name, piped=True)
    elif path.is_dir():
        before = found.left_out.total()
        images = _images_below(path, found, leave_out)
        refused = any(failure.source == path for failure in found.failures)
        if not (images or may_be_empty or refused):
            text = found.left_out_text() if found.left_out.total() > before else ""
            raise ArgumentError(
                f"no images in this folder ({' '.join(sorted(IMAGE_SUFFIXES))})"
                + (f"; left out: {text}" if text else ""),
                path=path,
            )
        yield from images
    elif os.path.lexists(path):
        looked_at = path.suffix.lower() not in IMAGE_SUFFIXES
        yield Source(path.parent, path.name, video=looked_at and is_video(path))
    else:
        hint = nearest_file(path)
        if not hint and path.parts[0] == "~":
            hint = ": a shell knows ~ only where it is not in quotes"
        raise ArgumentError(f"there is no such file or folder{hint}", path=path)


def _images_below(folder: Path, found: Found, leave_out: Path | None) -> list[Source]:
    """Images in a folder and its subfolders, without hidden files and earlier results."""
    images = []
    results = leave_out if leave_out is not None and leave_out.is_dir() else None
    # A call for each level would be too deep for Python.
    levels = [(folder, _inside(folder, found))]
    while levels:
        place, entries = levels[-1]
        if (entry := next(entries, None)) is None:
            levels.pop()
            continue
        is_image = os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES  # noqa: PTH122 (faster)
        if entry.name.startswith("."):
            continue
        if is_image and entry.is_file(follow_symlinks=False):  # as the system has told already
            images.append(Source(place, entry.name, root=folder))
        elif (path := place / entry.name).is_dir():
            if results and path.samefile(results):
                continue
            if path.is_symlink():
                found.left_out["linked folder"] += 1
            else:
                levels.append((path, _inside(path, found)))
        elif not is_image:
            found.left_out[path.suffix.lower() or "without a suffix"] += 1
        elif is_pipe(path):
            found.left_out[PIPE] += 1
        else:
            images.append(Source(place, entry.name, root=folder))
    return images


def _inside(folder: Path, found: Found) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, by name; one that cannot be read is a failure."""
    try:
        with os.scandir(folder) as entries:
            return iter(sorted(entries, key=attrgetter("name")))
    except OSError as error:
        reason = StorageError(f"this folder cannot be read ({error.strerror})", path=folder)
        found.failures.append(Failure(folder, reason))
        return iter(())
