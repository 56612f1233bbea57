"""No result replaces an input or another result."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sr_runtime.batch.job import Failure, Job
from sr_runtime.cli.folders import file_key, folded, real_folder
from sr_runtime.cli.inputs import Source
from sr_runtime.cli.names import Naming
from sr_runtime.errors import ArgumentError

__all__ = ["refuse_overwriting_inputs", "with_distinct_names", "without_results"]


def without_results(jobs: list[Job]) -> list[Job]:
    """Leave out what an earlier run has written beside its input: it is no input itself."""
    results = {
        file_key(job.place, job.result)
        for job in jobs
        if job.place is job.folder or real_folder(job.place) == real_folder(job.folder)
    }
    if not results:
        return jobs
    return [job for job in jobs if file_key(job.folder, job.name) not in results]


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
    inputs: Sequence[Job] | Sequence[Source], existing: Sequence[Job]
) -> None:
    """Raise ArgumentError if a result is an input, by any of its names.

    Args:
        existing: Jobs that have a file of the result's name.
    """
    overwritten = [job.target for job in existing if _are_one(job.target, job.source)]
    targets = {_real(job.place, job.result): job.target for job in existing}
    by_folded_path = {folded(path): path for path in targets}
    for each in inputs if targets else ():
        path = _real(each.folder, each.name)
        if path in targets:
            overwritten.append(targets[path])
        elif (other := by_folded_path.get(folded(path))) and _are_one(Path(path), Path(other)):
            overwritten.append(targets[other])  # on Windows and macOS, A.png and a.png are one file
    if overwritten:
        raise ArgumentError(
            f"the result would overwrite the input {overwritten[0]}: choose another with -o, or "
            "keep what is there by --skip-existing (--resume and --watch replace only what they "
            "have made)"
        )


def _real(folder: Path, name: str) -> str:
    """The path of a file, links followed."""
    path = f"{real_folder(folder)}{os.sep}{name}"
    return os.path.realpath(path) if os.path.islink(path) else path  # noqa: PTH114 (faster)


def _are_one(path: Path, other: Path) -> bool:
    return path.exists() and other.exists() and path.samefile(other)
