"""The command `upscale`: plan, run, and tell what became of everything that was named."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from sr_runtime.batch.job import Failure
from sr_runtime.batch.ledger import Ledger, settings_of
from sr_runtime.batch.run import run_jobs
from sr_runtime.blend import blend_text
from sr_runtime.cli.console import say
from sr_runtime.cli.names import Naming
from sr_runtime.cli.pipes import STANDARD, Pipes, is_pipe
from sr_runtime.cli.plan import Plan, plan_jobs
from sr_runtime.cli.progress_bar import ProgressBar
from sr_runtime.cli.reports import Reports
from sr_runtime.cli.videos import check_options, run_videos
from sr_runtime.cli.watch import watched
from sr_runtime.errors import ArgumentError, StorageError
from sr_runtime.output_size import OutputSize
from sr_runtime.upscaler import Upscaler

__all__ = ["model_name", "upscale_inputs"]


def upscale_inputs(upscaler: Upscaler, arguments: argparse.Namespace, size: OutputSize) -> int:
    """Upscale what the command line names; return the exit code, 1 if something failed.

    Raises the error of the only input, if that one failed.
    """
    only = Path(arguments.inputs[0]) if len(arguments.inputs) == 1 else None
    options = {"size": size, "quality": arguments.quality, "tileable": arguments.tileable}
    ledger = None
    if arguments.resume or arguments.watch:
        for_videos = {name: getattr(arguments, name) for name in ("codec", "crf", "deinterlace")}
        asked = {n: str(v) for n, v in for_videos.items() if v is not None and v is not False}
        ledger = Ledger(settings_of(upscaler, **options) | asked)
    by = f"{model_name(arguments)}, {_where(upscaler)}"
    failures: list[Failure] = []
    with (
        Pipes() as pipes,
        Reports(pipes, by, as_json=arguments.json, quiet=arguments.quiet) as reports,
    ):
        for plan in _plans(arguments, _naming(upscaler, arguments, size), pipes, ledger):
            images = [job for job in plan.jobs if not job.video]
            videos = [job for job in plan.jobs if job.video]
            check_options(arguments, images, videos)
            reports.begin(plan)
            shown = not arguments.quiet
            with ProgressBar(images, shown=shown, logs=not arguments.json) as bar:
                failed = run_jobs(
                    upscaler,
                    images,
                    **options,
                    max_pixels=arguments.max_pixels,
                    ledger=ledger,
                    bar=bar,
                    on_report=reports.add,
                )
            failed += run_videos(upscaler, videos, arguments, size, ledger, reports.add)
            pipes.send()
            failures = [_as_named(failure, pipes) for failure in (*plan.failures, *failed)]
            if [failure.source for failure in failures] == [only]:
                raise failures[0].error
            reports.end(plan, failures)
    return 1 if failures else 0


def _plans(
    arguments: argparse.Namespace, naming: Naming, pipes: Pipes, ledger: Ledger | None
) -> Iterator[Plan]:
    """One plan, or those of a folder that is watched."""
    if arguments.json and arguments.output == STANDARD:
        raise ArgumentError("--json prints on standard output, where the image goes: leave one out")
    plan = partial(
        plan_jobs,
        arguments.inputs,
        arguments.output,
        naming,
        pipes,
        skip_existing=arguments.skip_existing,
        ledger=ledger,
        may_be_empty=arguments.watch,
    )
    if not arguments.watch:
        yield plan()
        return
    for word in arguments.inputs:
        if word == STANDARD or is_pipe(Path(word)):
            raise ArgumentError("--watch takes files and folders, and no pipes", path=word)
    if not arguments.quiet:
        say("watching for images until Ctrl-C", file=sys.stderr)
    yield from watched(plan)


def _naming(upscaler: Upscaler, arguments: argparse.Namespace, size: OutputSize) -> Naming:
    return Naming(
        model=arguments.model,
        blend=arguments.blend,
        scale=upscaler.info.scale,
        size=size,
        format=arguments.format,
        keep_format=arguments.keep_format,
        template=arguments.name,
        max_pixels=arguments.max_pixels,
    )


def _as_named(failure: Failure, pipes: Pipes) -> Failure:
    """`failure` about what the user named, where a temporary file stands for a pipe."""
    error = failure.error
    if error.path in pipes.names:
        if isinstance(error, StorageError):
            place = tempfile.gettempdir()
            error.args = (f"its copy in {place} {error.args[0]}: set TMPDIR to another folder",)
        error.path = pipes.names[error.path]
    return replace(failure, source=pipes.names.get(failure.source, failure.source))


def model_name(arguments: argparse.Namespace) -> str:
    """The model as the summary names it."""
    if arguments.blend is not None:
        return f"blend {blend_text(arguments.model, arguments.blend)}"
    return Path(arguments.model).name


def _where(upscaler: Upscaler) -> str:
    backend = upscaler.backend
    return f"{backend.compute_dtype} on {backend.device} ({backend.name})"
