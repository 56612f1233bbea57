"""The order of a run: all images side by side, then the largest ones, each by all workers."""

import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from sr_runtime.batch.job import Job, Report
from sr_runtime.batch.ledger import PATIENCE, Ledger
from sr_runtime.distributed.bands import BandWorker, alike, upscale_by_bands
from sr_runtime.distributed.cluster import Workers, answer
from sr_runtime.distributed.images import upscale_images
from sr_runtime.distributed.tasks import Outcome, Settings, Task
from sr_runtime.errors import SRError
from sr_runtime.large.output import LargeOutput
from sr_runtime.storage.atomic import create_folder

__all__ = ["upscale_tasks"]


def upscale_tasks(tasks: Sequence[Task], settings: Settings, workers: Workers) -> Iterator[Outcome]:
    """Upscale all images; give the outcome of each, once."""
    # A single worker reads the largest images by rows itself.
    share = workers.count > 1 and settings.max_pixels is None and settings.tileable is None
    settings = replace(settings, share=share)
    by_target = {task.target: task for task in tasks}
    shared = []
    for outcome in upscale_images(tasks, settings, workers):
        if outcome.is_shared:
            shared.append(outcome)
        else:
            yield outcome
    if shared:
        with workers.actors(BandWorker, settings) as all_actors:
            actors = alike(all_actors)
            ledger = None
            if settings.resume:
                ledger = Ledger(answer(actors[0].facts.remote()).settings)
            for outcome in shared:
                task = by_target[outcome.target]
                started = time.perf_counter()
                report = _upscale(task, settings, actors, outcome, ledger)
                names, seconds = {Path(task.source): ""}, time.perf_counter() - started
                yield Outcome.of(
                    replace(report, seconds=seconds),
                    task.target,
                    "all together",
                    names,
                    worker_seconds=seconds,
                )


def _upscale(
    task: Task,
    settings: Settings,
    actors: Sequence[object],
    begun: Outcome,
    ledger: Ledger | None,
) -> Report:
    """Upscale an image by bands; report what became of it."""
    job = Job.of(Path(task.source), Path(task.target))
    report, claim = begun.report(job), None
    try:
        create_folder(job.place)
        if ledger is not None:
            while (claim := ledger.claim(job)) is None:
                time.sleep(PATIENCE)  # another process does it
            if ledger.is_done(job):
                return replace(report, status="done")
        output = LargeOutput(job.target, quality=settings.quality_for([job.target]))
        with nullcontext() if claim is None else claim.noting():
            upscale_by_bands(actors, task.source, output, size=settings.size)
    except SRError as error:
        return replace(report, status="failed", error=error)
    finally:
        if claim is not None:
            claim.release()
    return replace(report, bytes=job.target.stat().st_size)
