"""What is read and where each result goes, all of it known before the work begins."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sr_runtime.batch.job import Failure, Job
from sr_runtime.batch.ledger import Ledger
from sr_runtime.cli.collisions import (
    refuse_overwriting_inputs,
    with_distinct_names,
    without_results,
)
from sr_runtime.cli.folders import forget_folders, real_folder
from sr_runtime.cli.inputs import EARLIER, Found, Source, could_be_made, find_images
from sr_runtime.cli.names import Naming
from sr_runtime.cli.pipes import STANDARD, Pipes, is_pipe
from sr_runtime.cli.writable import look_at_targets
from sr_runtime.errors import ArgumentError, SRError
from sr_runtime.image import IMAGE_SUFFIXES, Output
from sr_runtime.storage.atomic import check_target
from sr_runtime.storage.temporary import remove_leftovers
from sr_runtime.video.formats import container_of

__all__ = ["Plan", "plan_jobs"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The jobs of a command line, and what is known before the first one begins."""

    jobs: list[Job]
    failures: list[Failure]
    """Inputs that cannot be done; they do not stop the others."""
    kept: list[Job]
    """Those whose result is there already, and is not made again."""
    kept_as: Literal["existing", "done"]
    """Why: a file of that name exists, or the ledger says that it is done."""
    left_out: str
    """What was found and is no input, in words."""


def plan_jobs(
    inputs: Sequence[str],
    output: str | None,
    naming: Naming,
    pipes: Pipes,
    *,
    skip_existing: bool = False,
    ledger: Ledger | None = None,
    may_be_empty: bool = False,
) -> Plan:
    """Find the images and name their results.

    Without `output`, `photo.jpg` becomes `photo_x4.png` beside it, and the images of a folder go to
    `folder_x4`; a result never stands beside its input without such a label. With several images,
    if it ends in a slash or has no suffix, `output` is a folder that keeps the folders below each
    input. Animations keep their format and all else becomes PNG, unless `naming` says otherwise.

    Args:
        skip_existing: Keep results that are there, whoever made them.
        ledger: Keep results that it says are done.
        may_be_empty: A folder without images is no failure.

    Raises:
        ArgumentError: A result would replace an input or another result, or `output` is a file
            where a folder is needed, or the reverse.
        StorageError: The folder of the results cannot be written.
    """
    forget_folders()
    if output is None:
        _refuse_result_among(inputs)
    folder = None if output is None or not _is_folder(output, inputs) else Path(output)
    found = find_images(inputs, pipes, folder, may_be_empty=may_be_empty)
    if output is not None and folder is None:
        jobs = _one_job(found, output, naming, pipes)
    else:
        jobs = _jobs(found, folder, naming)
        named = len(jobs)
        # Earlier results are no inputs, neither under these names nor under the distinct ones.
        goes_on = skip_existing or ledger is not None
        if goes_on:
            jobs = without_results(jobs)
        jobs, failures = with_distinct_names(jobs, naming)
        if goes_on:
            jobs = without_results(jobs)
        found.failures += failures
        found.left_out[EARLIER] = named - len(jobs) - len(failures)
    existing, errors = look_at_targets(jobs)
    if errors:
        found.failures += [Failure(job.source, errors[job]) for job in jobs if job in errors]
        jobs = [job for job in jobs if job not in errors]
    kept: set[Job] = set()
    earlier: set[Job] = set()
    if ledger is not None:
        for place in {job.place for job in jobs}:
            ledger.remove_leftovers(place)
        kept = set(ledger.done_of(existing))
        existing = [job for job in existing if job not in kept]
        earlier = set(ledger.made_of(existing))
    refuse_overwriting_inputs(jobs, existing)
    if skip_existing:
        earlier = kept = {job for job in existing if job.target.is_file()}
    # Those, too, that are no jobs: left out as named like a result, or without a name for theirs.
    refuse_overwriting_inputs(found.sources, [job for job in existing if job not in earlier])
    if skip_existing or ledger is not None:
        for place in {job.place for job in jobs}:
            remove_leftovers(place)  # where every result exists, nothing is written
    return Plan(
        jobs=[job for job in jobs if job not in kept] if kept else jobs,
        failures=found.failures,
        kept=[job for job in jobs if job in kept] if kept else [],
        kept_as="done" if ledger is not None else "existing",
        left_out=found.left_out_text(),
    )


def _refuse_result_among(inputs: Sequence[str]) -> None:
    """Raise ArgumentError for `photo.jpg large.png`, as other programs name a result."""
    if len(inputs) == 2 and os.path.lexists(inputs[0]) and could_be_made(inputs[1]):
        raise ArgumentError(
            f"there is no such file or folder: if it names the result, write -o {inputs[1]}",
            path=inputs[1],
        )


def _is_folder(output: str, inputs: Sequence[str]) -> bool:
    """Whether results go into `output`, and not to it."""
    path = Path(output)
    needed = len(inputs) > 1 or Path(inputs[0]).is_dir()
    if output == STANDARD or is_pipe(path):
        if needed:
            raise ArgumentError("this takes one image: give a folder for several", path=path)
        return False
    if path.is_dir() or output.endswith(("/", os.sep)):
        return True
    if output.lower() in IMAGE_SUFFIXES:
        raise ArgumentError(
            f"-o {output} is a suffix without a name: choose the format by --format"
        )
    if needed and (path.is_file() or path.suffix.lower() in IMAGE_SUFFIXES):
        raise ArgumentError(
            "this names one file, and several images need a folder: name one, or end it with / if "
            "this is its name",
            path=output,
        )
    return needed or not path.suffix


def _one_job(found: Found, output: str, naming: Naming, pipes: Pipes) -> list[Job]:
    """The job whose result is named by the user."""
    if len(found.sources) > 1:
        raise ArgumentError(
            f"{len(found.sources)} images match, and several need a folder: end its name with /",
            path=output,
        )
    if not found.sources:
        return []
    if naming.template is not None:
        raise ArgumentError("-o names the result already: give a folder with -o, or no --name")
    path, source = Path(output), found.sources[0]
    if source.video:
        return [_video_job(source, output, naming)]
    named = Path(naming.name(source.folder, source.name, labelled=False))
    if output == STANDARD or is_pipe(path):
        suffix = path.suffix if path.suffix and naming.format is None else ""
        target = pipes.target(output, suffix or named.suffix)
    else:
        target = path
        check_target(target)
    wanted = naming.format
    if wanted is None and naming.keep_format:
        wanted = named.suffix.lower()[1:]
    if wanted is not None and Output(target).format != Output(f"x.{wanted}").format:
        option = f"--format {wanted}" if naming.format else "--keep-format"
        raise ArgumentError(f"{option} contradicts the suffix of {output}: leave out {option}")
    return [Job.of(source.path, target)]


def _video_job(source: Source, output: str, naming: Naming) -> Job:
    if source.piped or output == STANDARD or is_pipe(Path(output)):
        raise ArgumentError("videos are not read from pipes or written into them: name files")
    if naming.format or naming.keep_format:
        raise ArgumentError("--format and --keep-format are for images: a video's is -o's suffix")
    container_of(Path(output))
    check_target(Path(output))
    return Job.of(source.path, Path(output), video=True)


def _jobs(found: Found, folder: Path | None, naming: Naming) -> list[Job]:
    """The jobs whose results are named by `naming`; what cannot be named is a failure."""
    jobs = []
    places: dict[tuple[Path, Path | None], tuple[Path, bool]] = {}
    for source in found.sources:
        if source.piped and folder is None:
            raise ArgumentError(
                "an image from a pipe has no place of its own: name its result with -o"
            )
        key = source.folder, source.root
        if key not in places:
            place = _place(source, folder, naming)
            places[key] = place, real_folder(place) == real_folder(source.folder)
        place, is_beside = places[key]
        try:
            name = naming.name(source.folder, source.name, labelled=is_beside, video=source.video)
        except SRError as error:
            found.failures.append(Failure(source.path, error))
            continue
        if not name.strip(". "):
            raise ArgumentError(f"--name {naming.template} leaves no name for {source.path}")
        jobs.append(Job(source.folder, source.name, place, name, source.video))
    return jobs


def _place(source: Source, folder: Path | None, naming: Naming) -> Path:
    """The folder of a result."""
    if source.root is None:
        return folder or source.folder
    below = source.folder.relative_to(source.root)
    if folder is not None:
        return folder / below
    whole = Path(real_folder(source.root))
    return whole.with_name(f"{whole.name}_{naming.label}") / below
