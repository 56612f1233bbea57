"""The command `upscale`: plan, run, and tell what became of everything that was named."""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sr_runtime.cli.batch import run_jobs
from sr_runtime.cli.console import say
from sr_runtime.cli.inputs import Failure
from sr_runtime.cli.job import Job
from sr_runtime.cli.names import Naming, header_of
from sr_runtime.cli.pipes import STANDARD, Pipes
from sr_runtime.cli.plan import Plan, plan_jobs
from sr_runtime.cli.videos import check_options, run_videos
from sr_runtime.errors import StorageError
from sr_runtime.output_size import OutputSize
from sr_runtime.printable import some
from sr_runtime.upscaler import Upscaler
from sr_runtime.video.facts import read_facts

__all__ = ["model_name", "upscale_inputs"]

NAMED = 5
"""Results that are there already and that the summary names, at most."""


def upscale_inputs(upscaler: Upscaler, arguments: argparse.Namespace, size: OutputSize) -> int:
    """Upscale what the command line names; return the exit code, 1 if something failed.

    Raises the error of the only input, if that one failed.
    """
    naming = Naming(
        model=arguments.model,
        blend=arguments.blend,
        scale=upscaler.info.scale,
        size=size,
        format=arguments.format,
        keep_format=arguments.keep_format,
        template=arguments.name,
    )
    with Pipes() as pipes:
        plan = plan_jobs(
            arguments.inputs,
            arguments.output,
            naming,
            pipes,
            skip_existing=arguments.skip_existing,
        )
        started = time.perf_counter()
        images = [job for job in plan.jobs if not job.video]
        videos = [job for job in plan.jobs if job.video]
        check_options(arguments, images, videos)
        failed = run_jobs(
            upscaler,
            images,
            size=size,
            quality=arguments.quality,
            max_pixels=arguments.max_pixels,
            tileable=arguments.tileable,
            show_progress=not arguments.quiet,
        )
        failed += run_videos(upscaler, videos, arguments, size)
        seconds = time.perf_counter() - started
        sizes = "" if failed else _sizes(plan, upscaler, size)
        pipes.send()
    failures = [_as_named(failure, pipes) for failure in (*plan.failures, *failed)]
    only = Path(arguments.inputs[0]) if len(arguments.inputs) == 1 else None
    if [failure.source for failure in failures] == [only]:
        raise failures[0].error
    if not arguments.quiet:
        # The picture itself may go to standard output.
        stream = sys.stdout if pipes.sent is None else sys.stderr
        how = f"in {seconds:.1f} s: {sizes}{model_name(arguments)}, {_where(upscaler)}"
        say(*_summary(plan, len(failed), how, pipes), file=stream)
    if failures:
        say(f"{len(failures)} failed:", *(f"  {each}" for each in failures), file=sys.stderr)
    return 1 if failures else 0


def _as_named(failure: Failure, pipes: Pipes) -> Failure:
    """`failure` about what the user named, where a temporary file stands for a pipe."""
    error = failure.error
    if error.path in pipes.names:
        if isinstance(error, StorageError):
            place = tempfile.gettempdir()
            error.args = (f"its copy in {place} {error.args[0]}: set TMPDIR to another folder",)
        error.path = pipes.names[error.path]
    return replace(failure, source=pipes.names.get(failure.source, failure.source))


def _sizes(plan: Plan, upscaler: Upscaler, size: OutputSize) -> str:
    """`4000×3000 to 16000×12000 by ` for one image, whose file may be gone afterwards."""
    if len(plan.jobs) != 1:
        return ""
    job = plan.jobs[0]
    header = read_facts(job.source) if job.video else header_of(job.source)
    if header is None:
        return ""
    height, width = size.target(header.height, header.width, upscaler.info.scale)
    return f"{header.width}×{header.height} to {width}×{height} by "


def _kind(jobs: Sequence[Job]) -> str:
    videos = [job.video for job in jobs]
    return "videos" if all(videos) else "files" if any(videos) else "images"


def model_name(arguments: argparse.Namespace) -> str:
    """The model as the summary names it."""
    if arguments.blend is not None:
        return f"blend {arguments.blend:g} of the embedded models"
    return Path(arguments.model).name


def _where(upscaler: Upscaler) -> str:
    backend = upscaler.backend
    return f"{backend.compute_dtype} on {backend.device} ({backend.name})"


def _summary(plan: Plan, failed: int, how: str, pipes: Pipes) -> list[str]:
    """What was written, kept and left out."""
    done, jobs = len(plan.jobs) - failed, plan.jobs
    total = len(jobs) + len(plan.failures)
    kept = ""
    if plan.existing:
        several = len(plan.existing) > 1
        kept = f"{len(plan.existing)} results exist" if several else f"{plan.existing[0]} exists"
        kept += " already" + (f": {some(plan.existing, NAMED)}" if several else "")
    lines = []
    if jobs:
        target = pipes.names.get(jobs[0].target, jobs[0].target)
        named = "to standard output" if str(target) == STANDARD else target
        written = named if total == done == 1 else f"{done} of {total} {_kind(jobs)}"
        lines.append(f"wrote {written} {how}" + (kept and f"; {kept}"))
    elif kept:
        lines.append(f"nothing to do: {kept}")
    if plan.left_out:
        lines.append(f"left out: {plan.left_out}")
    return lines
