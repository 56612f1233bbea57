"""Which files to read and where to write: the naming rules of the command line."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_runtime.atomic import check_target
from sr_runtime.errors import ArgumentError, ImageError, OutOfMemoryError, StorageError
from sr_runtime.image import IMAGE_SUFFIXES, Header, Output, read_header

__all__ = ["Job", "header_of", "plan_jobs"]


@dataclass(frozen=True)
class Job:
    """One image to upscale."""

    source: Path
    target: Path


def plan_jobs(
    inputs: Sequence[Path], output: str | os.PathLike[str] | None, *, label: str, format: str | None
) -> list[Job]:
    """Find the images and name their results.

    Without `output`, `photo.jpg` becomes `photo_{label}.png` beside it, and the images of a folder
    go to `folder_{label}`. With several images, or if it ends in a slash, `output` is a folder that
    keeps the folders below each input. Animations keep their format and all else becomes PNG,
    unless `format` is given.

    Raises:
        ArgumentError: An input does not exist or has no images, a result would replace an input or
            another result, or `output` is a file where a folder is needed, or the reverse.
        StorageError: A folder cannot be read or written.
    """
    for path in inputs:
        if not path.exists():
            raise ArgumentError("there is no such file or folder", path=path)
    folder = None if output is None else Path(output)
    if output is not None and not _is_folder(output, inputs):
        jobs = [Job(inputs[0], _file_target(Path(output), format))]
    else:
        jobs = []
        for path in inputs:
            if path.is_dir():
                whole = path.resolve()
                root = folder or whole.with_name(f"{whole.name}_{label}")
                jobs += [
                    Job(source, _renamed(root / source.relative_to(path), "", format, source))
                    for source in _images_below(path, leave_out=root)
                ]
            else:
                place, ending = (folder / path.name, "") if folder else (path, f"_{label}")
                jobs.append(Job(path, _renamed(place, ending, format, path)))
        jobs = _with_distinct_names(jobs)
        _check_folder(jobs[0].target.parent)
    _refuse_overwriting_inputs(jobs)
    return jobs


def _is_folder(output: str | os.PathLike[str], inputs: Sequence[Path]) -> bool:
    needed = len(inputs) > 1 or inputs[0].is_dir()
    if needed and Path(output).is_file():
        raise ArgumentError("this is a file, and several images need a folder", path=output)
    return needed or Path(output).is_dir() or os.fspath(output).endswith(("/", os.sep))


def _file_target(output: Path, format: str | None) -> Path:
    check_target(output)
    if format is not None and Output(output).format != format:
        raise ArgumentError(
            f"--format {format} contradicts the suffix of {output}: leave out --format"
        )
    return output


def _images_below(folder: Path, *, leave_out: Path) -> list[Path]:
    """Images in a folder and its subfolders, without hidden files and earlier results."""
    images = []
    for parent, folders, names in os.walk(folder, onerror=_refuse_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        images += [
            Path(parent, name)
            for name in names
            if Path(name).suffix.lower() in IMAGE_SUFFIXES
            and not name.startswith(".")
            and not Path(parent, name).is_fifo()  # reading a pipe would wait for ever
        ]
    results = leave_out.resolve()
    if folder.resolve() in results.parents:
        images = [image for image in images if results not in image.resolve().parents]
    if not images:
        raise ArgumentError(
            f"no images in this folder ({' '.join(sorted(IMAGE_SUFFIXES))})", path=folder
        )
    return sorted(images)


def _refuse_unreadable(error: OSError) -> None:
    raise StorageError(f"this folder cannot be read ({error.strerror})", path=error.filename)


def _check_folder(folder: Path) -> None:
    """Raise StorageError if a folder, which may not exist yet, cannot be written into."""
    place = folder.resolve()
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise StorageError(f"cannot be written into ({error.strerror})", path=folder) from error


def _renamed(path: Path, label: str, format: str | None, source: Path) -> Path:
    if format is None:
        suffix = source.suffix.lower()
        header = header_of(source) if suffix in (".gif", ".webp") else None
        format = suffix[1:] if header is not None and header.frames > 1 else "png"
    return path.with_name(f"{path.stem}{label}.{format}")


def header_of(source: Path) -> Header | None:
    """The header of an image; None if it cannot be read, since `run_jobs` will report that."""
    try:
        return read_header(source)
    except (ImageError, OutOfMemoryError):
        return None


def _with_distinct_names(jobs: list[Job]) -> list[Job]:
    """If photo.jpg and photo.png would share a result: photo.jpg.png and photo.png.png."""

    def name(target: Path) -> str:
        return str(target).casefold()  # many file systems do not distinguish A.png from a.png

    def ending(job: Job) -> str:
        return job.target.name.removeprefix(job.source.stem)

    uses = Counter(name(job.target) for job in jobs)
    jobs = [
        job
        if uses[name(job.target)] == 1
        else Job(job.source, job.target.with_name(job.source.name + ending(job)))
        for job in jobs
    ]
    first: dict[str, Path] = {}
    for job in jobs:
        if name(job.target) in first:
            raise ArgumentError(
                f"{first[name(job.target)]} and {job.source} would both be written to "
                f"{job.target}: rename one of them"
            )
        first[name(job.target)] = job.source
    return jobs


def _refuse_overwriting_inputs(jobs: Iterable[Job]) -> None:
    sources = {job.source.resolve() for job in jobs}
    for job in jobs:
        if job.target.resolve() in sources or (
            job.target.exists() and job.target.samefile(job.source)
        ):
            raise ArgumentError(
                f"the result would overwrite the input {job.target}: choose another with -o"
            )
