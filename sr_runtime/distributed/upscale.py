"""What the command `upscale` does with a cluster: load, plan, run, and tell what became of it."""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

from sr_runtime.batch.job import Failure
from sr_runtime.batch.ledger import Ledger
from sr_runtime.cli.console import say, say_waiting
from sr_runtime.cli.names import Naming
from sr_runtime.cli.pipes import Pipes
from sr_runtime.cli.progress_bar import ProgressBar
from sr_runtime.cli.reports import Reports
from sr_runtime.cli.upscale import model_name
from sr_runtime.cli.videos import check_options
from sr_runtime.distributed.bands import BandWorker
from sr_runtime.distributed.cluster import answer, connected, workers_for
from sr_runtime.distributed.plan import plan_tasks
from sr_runtime.distributed.report import Table
from sr_runtime.distributed.schedule import upscale_tasks
from sr_runtime.distributed.tasks import Settings
from sr_runtime.distributed.worker import Facts
from sr_runtime.embedded import EMBEDDED
from sr_runtime.errors import BackendError, ModelError
from sr_runtime.model_folder import named_file
from sr_runtime.output_size import OutputSize

__all__ = ["upscale_inputs"]


def upscale_inputs(arguments: argparse.Namespace) -> int:
    """Upscale what the command line names; return the exit code, 1 if something failed.

    Raises the error of the only input, if that one failed.
    """
    settings = _settings(arguments)
    say_waiting("connecting to Ray")
    with connected(arguments.address):
        workers = workers_for(
            arguments.num_gpus, arguments.concurrency, wait=arguments.address != "local"
        )
        say_waiting(f"loading {model_name(arguments)}")
        with replace(workers, count=1).actors(BandWorker, settings) as (scout,):
            facts: Facts = answer(scout.facts.remote())
        naming = Naming(
            model=arguments.model,
            blend=arguments.blend,
            scale=facts.info.scale,
            size=settings.size,
            format=arguments.format,
            keep_format=arguments.keep_format,
            template=arguments.name,
        )
        ledger = Ledger(facts.settings) if arguments.resume else None
        plan, tasks = plan_tasks(arguments, naming, ledger)
        check_options(arguments, plan.jobs, [])
        settings.check_quality(task.target for task in tasks)
        numbers = {task.target: number for number, task in enumerate(tasks)}
        by, started = f"{model_name(arguments)}, {facts.where}", time.perf_counter()
        table, failures = Table(), list(plan.failures)
        with (
            Pipes() as pipes,
            Reports(pipes, by, as_json=arguments.json, quiet=arguments.quiet) as reports,
        ):
            reports.begin(plan)
            shown = not arguments.quiet
            with ProgressBar(plan.jobs, shown=shown, logs=not arguments.json) as bar:
                for outcome in upscale_tasks(tasks, settings, workers):
                    number = numbers[outcome.target]
                    report = outcome.report(plan.jobs[number])
                    if isinstance(report.error, ModelError | BackendError):
                        raise report.error
                    if report.error is not None:
                        failures.append(Failure(report.source, report.error))
                    bar.start(number)
                    bar.finish(number, failed=report.error is not None)
                    if outcome.warnings:
                        lines = outcome.warnings.split("\n")
                        say(*(f"warning: {line}" for line in lines), file=sys.stderr)
                    reports.add(report)
                    table.add(outcome)
            if len(failures) == len(arguments.inputs) == 1 and len(plan.jobs) <= 1:
                raise failures[0].error
            if tasks and not arguments.quiet and not arguments.json:
                say(*table.lines(time.perf_counter() - started))
            reports.end(plan, failures)
    return 1 if failures else 0


def _settings(arguments: argparse.Namespace) -> Settings:
    model = arguments.model  # workers are in other folders
    return Settings(
        load={
            "model": model
            if model in EMBEDDED
            else str((named_file(model) or Path(model)).absolute()),
            "backend": arguments.backend,
            "device": arguments.device,
            "precision": arguments.precision,
            "tile": arguments.tile,
            "halo": arguments.halo,
            "tta": arguments.tta,
            "blend": arguments.blend,
        },
        size=OutputSize(scale=arguments.scale, width=arguments.width, height=arguments.height),
        quality=arguments.quality,
        max_pixels=arguments.max_pixels,
        tileable=arguments.tileable,
        resume=arguments.resume,
    )
