"""The plan of a command line, for files that every machine sees and for object stores."""

import argparse
from dataclasses import replace
from pathlib import Path

from sr_runtime.batch.job import Failure, Job
from sr_runtime.batch.ledger import Ledger
from sr_runtime.cli.names import Naming
from sr_runtime.cli.pipes import STANDARD, Pipes, is_pipe
from sr_runtime.cli.plan import Plan, plan_jobs
from sr_runtime.distributed import stores
from sr_runtime.distributed.store_plan import plan_stores
from sr_runtime.distributed.tasks import Task
from sr_runtime.errors import ArgumentError

__all__ = ["plan_tasks"]


def plan_tasks(
    arguments: argparse.Namespace, naming: Naming, ledger: Ledger | None
) -> tuple[Plan, list[Task]]:
    """Find the images and name their results, as one machine does; the tasks are in its order.

    Raises what `plan_jobs` and `plan_stores` raise, and ArgumentError for what one machine alone
    does.
    """
    inputs, output, skip = arguments.inputs, arguments.output, arguments.skip_existing
    if arguments.watch:
        raise ArgumentError("--watch is for one machine: run the command again instead")
    words = [*inputs, *filter(None, [output])]
    for word in words:
        if word == STANDARD or is_pipe(Path(word)):
            raise ArgumentError(f"{word} is a pipe, and workers read files: name a file or folder")
    if any(map(stores.is_address, words)):
        if ledger is not None:
            raise ArgumentError("object stores hold no journal: use --skip-existing for --resume")
        return plan_stores(inputs, output, naming, skip_existing=skip)
    with Pipes() as pipes:
        plan = plan_jobs(
            [word.removeprefix(stores.LOCAL) for word in inputs],
            output and output.removeprefix(stores.LOCAL),
            naming,
            pipes,
            skip_existing=skip,
            ledger=ledger,
        )
    images = [job for job in plan.jobs if not job.video]
    for video in [job.source for job in plan.jobs if job.video]:
        reason = "videos are for one machine: upscale them with `python -m sr_runtime upscale`"
        plan.failures.append(Failure(video, ArgumentError(reason, path=video)))
    return replace(plan, jobs=images), [_task(job) for job in images]


def _task(job: Job) -> Task:
    source, target = (str(path.absolute()) for path in (job.source, job.target))
    return Task(source=source, target=target, before=stores.state_of(target))
