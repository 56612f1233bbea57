"""Many images over the workers, by Ray Data: blocks of paths go out, rows of a report come back."""

import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import ray.data

from sr_runtime.distributed.cluster import RETRIES, Workers, lost
from sr_runtime.distributed.tasks import Outcome, Settings, Task
from sr_runtime.distributed.worker import Worker

__all__ = ["upscale_images"]

BLOCK = 8
"""Images that a worker is given at once, at most: it reads the next one and writes the last one
while the network runs."""
SHARES = 4
"""Blocks that there are for each worker, at least, so that all end at about the same time."""


def upscale_images(
    tasks: Sequence[Task], settings: Settings, workers: Workers
) -> Iterator[Outcome]:
    """Upscale the images; give the outcome of each, once, in the order in which they come.

    A block whose worker is lost goes to another one, which leaves out what is done already. If that
    happens again and again, its images are tried one by one, so that the one that kills its
    process takes no other with it.
    """
    left = {task.target: task for task in tasks}
    most = max(1, min(BLOCK, len(tasks) // (SHARES * workers.count)))
    # A worker that is killed takes along what waits for it, so that nothing waits in the end.
    for block, in_flight in ((most, 2), (1, 1)):
        if left:
            for outcome in _run([*left.values()], block, in_flight, settings, workers):
                del left[outcome.target]
                yield outcome
    for task in left.values():
        yield Outcome(
            target=task.target,
            worker="(lost)",
            status="failed",
            error="OutOfMemoryError",
            message=lost(2 * (RETRIES + 1)),
        )


def _run(
    tasks: Sequence[Task], block: int, in_flight: int, settings: Settings, workers: Workers
) -> Iterator[Outcome]:
    """One pass over the tasks; those whose worker is lost too often have no outcome.

    Args:
        in_flight: Blocks that are sent to a worker before it has finished one.

    Raises RuntimeError for a bug in a worker.
    """
    # As JSON: Arrow takes no name of a file that is not UTF-8.
    rows = [{"task": json.dumps(asdict(task))} for task in tasks]
    blocks = ray.data.from_items(rows, override_num_blocks=-(-len(rows) // block))
    pool = ray.data.ActorPoolStrategy(
        size=min(workers.count, len(rows)), max_tasks_in_flight_per_actor=in_flight
    )
    with warnings.catch_warnings():
        # Ray 2.64 removes max_task_retries. Until then nothing else stops an image that kills every
        # process, since Ray Data tries again without end.
        warnings.simplefilter("ignore", DeprecationWarning)
        made = blocks.map_batches(
            Worker,
            fn_constructor_args=(settings,),
            batch_size=block,
            batch_format="pyarrow",
            compute=pool,
            num_gpus=workers.gpus or None,
            max_task_retries=RETRIES,
        )
    made.context.enable_progress_bars = False
    made.context.max_errored_blocks = -1
    for row in made.iter_rows():
        outcome = Outcome(**json.loads(row["outcome"]))
        if outcome.bug:
            raise RuntimeError(outcome.bug)
        yield outcome
