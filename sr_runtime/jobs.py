"""Which files to read and where to write: the naming rules of the command line."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_runtime.errors import ArgumentError
from sr_runtime.image import output_format, size_and_frames

__all__ = ["IMAGE_SUFFIXES", "Job", "plan_jobs"]

# What is taken for an image in a folder; a file named on the command line may have any suffix.
# fmt: off
IMAGE_SUFFIXES = frozenset((
    ".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm",
    ".tga", ".tif", ".tiff", ".webp",
))
# fmt: on


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
    go to `folder_{label}`. With several images, or where it ends in a slash, `output` is a folder,
    in which the inputs' own tree is kept. Animations keep their format, all else becomes PNG,
    unless `format` is given.

    Raises:
        ArgumentError: An input is not there or has no images, an output would replace an input or
            another output, or the output is a file where a folder is needed, or the reverse.
    """
    for path in inputs:
        if not path.exists():
            raise ArgumentError(f"{path}: there is no such file or folder")
    folder = None if output is None else Path(output)
    if output is not None and not _is_folder(output, inputs):
        jobs = [Job(inputs[0], _file_target(Path(output), format))]
    else:
        jobs = []
        for path in inputs:
            if path.is_dir():
                root = folder or path.with_name(f"{path.resolve().name}_{label}")
                sources = _images_below(path, leave_out=root)
                jobs += [
                    Job(source, _renamed(root / source.relative_to(path), "", format, source))
                    for source in sources
                ]
            elif folder is None:
                jobs.append(Job(path, _renamed(path, f"_{label}", format, path)))
            else:
                jobs.append(Job(path, _renamed(folder / path.name, "", format, path)))
        jobs = _told_apart(jobs)
    _refuse_overwriting_inputs(jobs)
    return jobs


def _is_folder(output: str | os.PathLike[str], inputs: Sequence[Path]) -> bool:
    needed = len(inputs) > 1 or inputs[0].is_dir()
    if needed and Path(output).is_file():
        raise ArgumentError(f"{output} is a file, and several images need a folder: name another")
    return needed or Path(output).is_dir() or os.fspath(output).endswith(("/", os.sep))


def _file_target(output: Path, format: str | None) -> Path:
    if not output.parent.is_dir():
        raise ArgumentError(f"{output}: the folder {output.parent} does not exist: create it first")
    if format is not None and output_format(output) != format:
        raise ArgumentError(
            f"--format {format} contradicts the suffix of {output}: leave one of them out"
        )
    return output


def _images_below(folder: Path, *, leave_out: Path) -> list[Path]:
    """Images in a folder and its subfolders, without hidden files and earlier results."""
    images = sorted(
        Path(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")
    )
    results = leave_out.resolve()
    if results != folder.resolve():
        images = [image for image in images if results not in image.resolve().parents]
    if not images:
        raise ArgumentError(
            f"{folder}: no images in this folder ({' '.join(sorted(IMAGE_SUFFIXES))})"
        )
    return images


def _renamed(path: Path, label: str, format: str | None, source: Path) -> Path:
    suffix = format or (source.suffix.lower()[1:] if _is_animated(source) else "png")
    return path.with_name(f"{path.stem}{label}.{suffix}")


def _is_animated(source: Path) -> bool:
    return source.suffix.lower() in (".gif", ".webp") and size_and_frames(source)[2] > 1


def _told_apart(jobs: list[Job]) -> list[Job]:
    """Where photo.jpg and photo.png would share a result: photo.jpg.png and photo.png.png."""
    uses = Counter(job.target for job in jobs)
    jobs = [
        job
        if uses[job.target] == 1
        else Job(job.source, job.target.with_name(job.source.name + job.target.suffix))
        for job in jobs
    ]
    first: dict[Path, Path] = {}
    for job in jobs:
        if job.target in first:
            raise ArgumentError(
                f"{first[job.target]} and {job.source} would both be written to {job.target}: "
                "upscale them into different folders"
            )
        first[job.target] = job.source
    return jobs


def _refuse_overwriting_inputs(jobs: Iterable[Job]) -> None:
    sources = {job.source.resolve() for job in jobs}
    for job in jobs:
        if job.target.resolve() in sources or (
            job.target.exists() and job.target.samefile(job.source)
        ):
            raise ArgumentError(
                f"the result would overwrite the input {job.target}: choose another output with -o"
            )
