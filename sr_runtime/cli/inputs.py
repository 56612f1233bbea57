"""Which files the words of a command line mean: by name, folder or pattern; what is left out."""

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sr_runtime.cli.folders import real_folder
from sr_runtime.cli.pipes import STANDARD, Pipes, is_pipe
from sr_runtime.errors import ArgumentError, SRError, StorageError
from sr_runtime.file_kinds import is_video
from sr_runtime.image import IMAGE_SUFFIXES, LEFT_OUT
from sr_runtime.nearest import nearest_file
from sr_runtime.video.formats import VIDEO_SUFFIXES

__all__ = ["EARLIER", "Failure", "Found", "Source", "could_be_made", "find_images"]

KINDS = 8
"""How many kinds of left-out files are named; the others are counted."""
EARLIER = "image that is named as a result"
"""It is beside the input whose result would be named so; whoever made it, it is not replaced."""
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


@dataclass(frozen=True)
class Failure:
    """An input that could not be upscaled, and why."""

    source: Path
    error: SRError

    def __str__(self) -> str:
        return str(self.error) if self.error.path == self.source else f"{self.source}: {self.error}"


@dataclass(frozen=True)
class Source:
    """One image or video to upscale."""

    path: Path
    folder: Path | None = None
    """The input folder in which it was found; None: it was named itself."""
    piped: bool = False
    """`path` is a copy of what came from a pipe."""
    video: bool = False


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


def find_images(words: Sequence[str], pipes: Pipes, leave_out: Path | None) -> Found:
    """The images that `words` name, each once; an input that fails does not stop the others.

    Args:
        leave_out: The folder of results, which are no inputs where it lies in an input folder.
    """
    found, known = Found(), set[tuple[str, str]]()
    for word in words:
        try:
            for path in _paths(word, found):
                # A link of another name is an image of its own, with its own result.
                for source in _images(path, pipes, found, leave_out):
                    key = real_folder(source.path.parent), source.path.name
                    if key not in known:
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


def _images(path: Path, pipes: Pipes, found: Found, leave_out: Path | None) -> Iterator[Source]:
    if str(path) == STANDARD or is_pipe(path):
        yield Source(pipes.received(path), piped=True)
    elif path.is_dir():
        before = found.left_out.total()
        images = _images_below(path, found, leave_out)
        if not images and not any(failure.source == path for failure in found.failures):
            text = found.left_out_text() if found.left_out.total() > before else ""
            raise ArgumentError(
                f"no images in this folder ({' '.join(sorted(IMAGE_SUFFIXES))})"
                + (f"; left out: {text}" if text else ""),
                path=path,
            )
        for image in images:
            yield Source(image, folder=path)
    elif os.path.lexists(path):
        looked_at = path.suffix.lower() not in IMAGE_SUFFIXES
        yield Source(path, video=looked_at and is_video(path))
    else:
        hint = nearest_file(path)
        if not hint and path.parts[0] == "~":
            hint = ": a shell knows ~ only where it is not in quotes"
        raise ArgumentError(f"there is no such file or folder{hint}", path=path)


def _images_below(folder: Path, found: Found, leave_out: Path | None) -> list[Path]:
    """Images in a folder and its subfolders, without hidden files and earlier results."""
    images = []
    results = leave_out if leave_out is not None and leave_out.is_dir() else None
    waiting = [folder]  # os.walk of Python 3.11 calls itself for every level
    while waiting:
        place = waiting.pop()
        try:
            inside = [(path, path.is_dir()) for path in place.iterdir()]
        except OSError as error:
            reason = StorageError(f"this folder cannot be read ({error.strerror})", path=place)
            found.failures.append(Failure(place, reason))
            continue
        for path, is_folder in inside:
            if path.name.startswith(".") or (is_folder and results and path.samefile(results)):
                continue
            if is_folder and path.is_symlink():
                found.left_out["linked folder"] += 1
            elif is_folder:
                waiting.append(path)
            elif path.suffix.lower() not in IMAGE_SUFFIXES:
                found.left_out[path.suffix.lower() or "without a suffix"] += 1
            elif is_pipe(path):
                found.left_out[PIPE] += 1
            else:
                images.append(path)
    return sorted(images)
