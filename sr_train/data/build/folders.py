"""What the folders that a user names hold, besides the pairs in them."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path

from sr_runtime.cli.inputs import Found
from sr_runtime.errors import ArgumentError, StorageError
from sr_runtime.image import IMAGE_SUFFIXES

__all__ = ["check_is_not_above_images", "folders_below", "has_images", "left_out_of"]


def folders_below(source: Path, names: tuple[str, ...]) -> list[Path]:
    """The folder itself and those below it, at any depth, that have such a name and images."""
    return [
        path
        for path in (source.resolve(), *sorted(source.rglob("*")))
        if path.name in names and has_images(path)
    ]


def check_is_not_above_images(folder: Path) -> None:
    """Raise ArgumentError for a folder that has no images, and subfolders with images."""
    if has_images(folder) or ((folder / "HR").is_dir() and (folder / "LR").is_dir()):
        return
    for below in sorted(_inside(folder)):
        if has_images(below):
            raise ArgumentError(
                f"it has no images, but its subfolders have: prepare one of them, such as {below}",
                path=folder,
            )


def left_out_of(folder: Path, used: Collection[Path | None]) -> str:
    """What is in a folder, or in HR and LR of it, and not `used`: `2 .heic (…)`, or nothing."""
    kinds: Counter[str] = Counter()
    halves = folder / "HR", folder / "LR"
    for path in [path for part in (folder, *halves) if part.is_dir() for path in _inside(part)]:
        if path.name.startswith(".") or path in used or path in halves:
            continue
        if path.is_dir():
            kinds["subfolder"] += 1
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            kinds["image in no pair"] += 1
        else:
            kinds[path.suffix.lower() or "without a suffix"] += 1
    return Found(left_out=kinds).left_out_text()


def has_images(path: Path) -> bool:
    """Whether it is a folder with images."""
    return path.is_dir() and any(each.suffix.lower() in IMAGE_SUFFIXES for each in _inside(path))


def _inside(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise StorageError(f"cannot be read ({error.strerror})", path=folder) from error
