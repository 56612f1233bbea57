"""A folder that is watched: which of its images are whole, and when to look again."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from sr_runtime.batch.job import Job
from sr_runtime.cli.plan import Plan

__all__ = ["watched"]

SECONDS = 1.0
"""Between two looks; a file whose size and time have not changed between them is whole."""
SHARE = 10
"""A look at many images may take a tenth of the time."""

Facts = tuple[int, int] | None
"""Size and time of a file; None if it cannot be read."""


def watched(look: Callable[[], Plan]) -> Iterator[Plan]:
    """Plans with the images that are whole and that no earlier plan had, without an end.

    What fails comes again only when it has changed. What is kept or left out is only in
    the first plan.

    Args:
        look: Makes a plan of all that is not done.
    """
    before: dict[Job, Facts] = {}
    taken: dict[Job, Facts] = {}
    told: set[str] = set()
    is_first = True
    while True:
        started = time.monotonic()
        plan = look()
        now = {job: _facts(job) for job in plan.jobs}
        whole = [job for job in plan.jobs if job in before and before[job] == now[job]]
        jobs = [job for job in whole if job not in taken or taken[job] != now[job]]
        failures = [failure for failure in plan.failures if str(failure) not in told]
        seconds = time.monotonic() - started
        before = now
        taken = {job: facts for job, facts in taken.items() if job in now}
        taken.update((job, now[job]) for job in jobs)
        told.update(map(str, failures))
        plan = replace(plan, jobs=jobs, failures=failures)
        if is_first:
            yield plan
        elif jobs or failures:
            yield replace(plan, kept=[], left_out="")
        is_first = False
        time.sleep(max(SECONDS, SHARE * seconds))


def _facts(job: Job) -> Facts:
    try:
        facts = os.stat(job.source)  # noqa: PTH116 (faster, for many images)
    except OSError:
        return None
    return facts.st_size, facts.st_mtime_ns
