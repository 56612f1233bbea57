"""No result replaces an input or another result."""

import os
from collections.abc import Sequence
from dataclasses import replace

from sr_runtime.cli.folders import file_key
from sr_runtime.cli.inputs import Failure
from sr_runtime.cli.job import Job
from sr_runtime.cli.names import Naming
from sr_runtime.errors import ArgumentError

__all__ = ["refuse_overwriting_inputs", "with_distinct_names", "without_results"]


def without_results(jobs: list[Job]) -> list[Job]:
    """Leave out what an earlier run has written beside its input: it is no input itself."""
    results = {file_key(job.target) for job in jobs if job.is_beside}
    return [job for job in jobs if file_key(job.source) not in results] if results else jobs


def with_distinct_names(jobs: list[Job], naming: Naming) -> tuple[list[Job], list[Failure]]:
    """If photo.jpg and photo.png would share a result: photo.jpg.png and photo.png.png.

    Those that would share one all the same are failures.

    Raises ArgumentError if `naming` gives all results the same name.
    """

    def ending(job: Job) -> str:
        return job.target.name.removeprefix(job.source.stem)

    shared = _shared_targets(jobs)
    if naming.template is None:
        jobs = [
            replace(job, target=job.target.with_name(job.source.name + ending(job)))
            if file_key(job.target) in shared
            else job
            for job in jobs
        ]
        shared = _shared_targets(jobs)
    elif shared and "{stem}" not in naming.template:
        raise ArgumentError(
            f"--name {naming.template} gives several results the same name: use {{stem}} in it"
        )
    failures = []
    for sharing in shared.values():
        for job in sharing:
            other = next(each for each in sharing if each is not job)
            reason = f"{other.source} would be written to {job.target} too: rename one of them"
            failures.append(Failure(job.source, ArgumentError(reason, path=job.source)))
    return [job for job in jobs if file_key(job.target) not in shared], failures


def _shared_targets(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """The jobs whose result is another's too, by that result."""
    by_target: dict[str, list[Job]] = {}
    for job in jobs:
        by_target.setdefault(file_key(job.target), []).append(job)
    return {key: sharing for key, sharing in by_target.items() if len(sharing) > 1}


def refuse_overwriting_inputs(jobs: Sequence[Job]) -> None:
    """Raise ArgumentError if a result is an input, by any of its names."""
    sources: set[str] = set()
    for job in jobs:
        if not os.path.lexists(job.target):
            continue
        sources = sources or {os.path.realpath(job.source) for job in jobs}
        if os.path.realpath(job.target) in sources or (
            job.target.exists() and job.source.exists() and job.target.samefile(job.source)
        ):
            raise ArgumentError(
                f"the result would overwrite the input {job.target}: choose another with -o, or "
                "leave out earlier results by --skip-existing"
            )
