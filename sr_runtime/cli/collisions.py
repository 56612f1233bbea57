"""No result replaces an input or another result."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sr_runtime.batch.job import Failure, Job
from sr_runtime.batch.ledger import Ledger
from sr_runtime.cli.folders import file_key, folded, real_folder
from sr_runtime.cli.inputs import Source
from sr_runtime.cli.names import Naming
from sr_runtime.errors import ArgumentError

__all__ = ["refuse_overwriting_inputs", "with_distinct_names", "without_results"]


def without_results(jobs: list[Job], ledger: Ledger | None) -> list[Job]:
    """Leave out what an earlier run has written beside its input: it is no input itself.

    That is what has the name of a result, or what `ledger` says.
    """
    beside = [
        job
        for job in jobs
        if job.place is job.folder or real_folder(job.place) == real_folder(job.folder)
    ]
    results = {file_key(job.place, job.result) for job in beside}
    places = {job.place for job in beside}
    if ledger is not None:
        results |= {file_key(place, name) for place in places for name in ledger.names_in(place)}
    # `file_key` tries what a folder does: not in those that no result goes into.
    folders = {real_folder(place) for place in places}
    return [
        job
        for job in jobs
        if real_folder(job.folder) not in folders or file_key(job.folder, job.name) not in results
    ]


def with_distinct_names(jobs: list[Job], naming: Naming) -> tuple[list[Job], list[Failure]]:
    """If photo.jpg and photo.png would share a result: photo.jpg.png and photo.png.png.

    Those that would share one all the same are failures.

    Raises ArgumentError if `naming` gives all results the same name.
    """

    def ending(job: Job) -> str:
        return job.result.removeprefix(job.source.stem)

    if not (shared := _shared_targets(jobs)):
        return jobs, []
    if naming.template is None:
        jobs = [
            replace(job, result=job.name + ending(job))
            if file_key(job.place, job.result) in shared
            else job
            for job in jobs
        ]
        shared = _shared_targets(jobs)
    elif "{stem}" not in naming.template:
        raise ArgumentError(
            f"--name {naming.template} gives several results the same name: use {{stem}} in it"
        )
    failures = []
    for sharing in shared.values():
        for job in sharing:
            other = next(each for each in sharing if each is not job)
            reason = f"{other.source} would be written to {job.target} too: rename one of them"
            failures.append(Failure(job.source, ArgumentError(reason, path=job.source)))
    return [job for job in jobs if file_key(job.place, job.result) not in shared], failures


def _shared_targets(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """The jobs whose result is another's too, by that result."""
    keys = [file_key(job.place, job.result) for job in jobs]
    counts = Counter(keys)
    if len(counts) == len(jobs):
        return {}
    shared: dict[str, list[Job]] = {}
    for key, job in zip(keys, jobs, strict=True):
        if counts[key] > 1:
            shared.setdefault(key, []).append(job)
    return shared


def refuse_overwriting_inputs(
    inputs: Sequence[Job] | Sequence[Source], existing: Sequence[Job], *, resumes: bool
) -> None:
    """Raise ArgumentError if a result is an input, links followed, or another name of its own.

    Args:
        existing: Jobs that have a file of the result's name.
        resumes: What such a run has made is replaced, and is not among these.
    """
    targets = {_file_of(job.place, job.result): job.target for job in existing}
    overwritten = [
        target
        for each in (inputs if existing else ())
        if (file := _file_of(each.folder, each.name)) and (target := targets.get(file))
    ]
    overwritten += [
        job.target
        for job in existing
        if job.target.exists() and job.source.exists() and job.target.samefile(job.source)
    ]
    if overwritten:
        keeping = "--skip-existing"
        if resumes:
            keeping += " in place of --resume, which replaces only what it has made"
        raise ArgumentError(
            f"the result would overwrite the input {overwritten[0]}: choose another with -o, or "
            f"keep what is there by {keeping}"
        )


def _file_of(folder: Path, name: str) -> tuple[int, int, str] | None:
    """Equal for two names of one file, links followed; None if it cannot be reached.

    A hard link of another name is another file: a result would not replace its content.
    """
    path = f"{folder}{os.sep}{name}"
    try:
        facts = os.stat(path)  # noqa: PTH116 (faster, for many images)
        if os.path.islink(path):  # noqa: PTH114
            name = os.path.basename(os.path.realpath(path))  # noqa: PTH119
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, folded(name)
