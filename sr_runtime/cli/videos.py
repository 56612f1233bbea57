"""The videos of a command line, one after the other: each keeps the whole machine busy."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from sr_runtime.batch.job import Failure, Job, Report
from sr_runtime.batch.ledger import PATIENCE, Ledger
from sr_runtime.batch.outcomes import Outcomes
from sr_runtime.cli.console import say
from sr_runtime.errors import ArgumentError
from sr_runtime.output_size import OutputSize
from sr_runtime.printable import printable
from sr_runtime.storage.atomic import create_folder
from sr_runtime.upscaler import Upscaler
from sr_runtime.video import UpscaledVideo, partial_file, upscale_video
from sr_runtime.video.facts import read_facts

__all__ = ["check_options", "run_videos"]


def check_options(
    arguments: argparse.Namespace, images: Sequence[Job], videos: Sequence[Job]
) -> None:
    """Raise ArgumentError for an option that none of the inputs has a use for."""
    for_images = {
        "--quality": arguments.quality,
        "--tileable": arguments.tileable,
        "--format": arguments.format,
        "--keep-format": arguments.keep_format,
    }
    for_videos = {
        "--codec": arguments.codec,
        "--crf": arguments.crf,
        "--deinterlace": arguments.deinterlace or None,
    }
    for name, value in for_images.items():
        if value and videos and not images:
            raise ArgumentError(f"{name} is for images, and these are videos: leave it out")
    for name, value in for_videos.items():
        if value is not None and images and not videos:
            raise ArgumentError(f"{name} is for videos, and none is named: leave it out")


def run_videos(
    upscaler: Upscaler,
    jobs: Sequence[Job],
    arguments: argparse.Namespace,
    size: OutputSize,
    ledger: Ledger | None,
    on_report: Callable[[Report], None],
) -> list[Failure]:
    """Upscale the videos; return those that failed. After Ctrl-C, say what can be played."""
    outcomes = Outcomes(jobs, ledger, on_report)
    try:
        for number, job in enumerate(jobs):
            while not (taken := outcomes.take(number)) and not outcomes.has_ended(number):
                time.sleep(PATIENCE)  # another process does it
            if taken is None:
                continue
            place = f"{number + 1}/{len(jobs)} " if len(jobs) > 1 else ""
            with outcomes.noting_failure(taken):
                facts = read_facts(job.source, max_pixels=arguments.max_pixels)
                taken.size = facts.height, facts.width
                create_folder(job.place)
                with outcomes.noting_result(taken):
                    made = _upscale(upscaler, job, arguments, size, place)
                taken.frames = made.frames
                outcomes.succeed(taken, (made.height, made.width))
            if len(jobs) > 1 and not arguments.quiet and not sys.stderr.isatty():
                failed = " failed" if outcomes.has_failed(number) else ""
                say(f"{place}{job.source}{failed}", file=sys.stderr)
    finally:
        outcomes.release_claims()
    return outcomes.failures()


def _upscale(
    upscaler: Upscaler, job: Job, arguments: argparse.Namespace, size: OutputSize, place: str
) -> UpscaledVideo:
    with _bar(f"{place}{printable(job.name)}", shown=not arguments.quiet) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        try:
            return upscale_video(
                upscaler,
                job.source,
                job.target,
                scale=size.scale,
                width=size.width,
                height=size.height,
                codec=arguments.codec,
                crf=arguments.crf,
                deinterlace=arguments.deinterlace,
                max_pixels=arguments.max_pixels,
                progress=show,
            )
        except KeyboardInterrupt:
            if (partial := partial_file(job.target)).exists():
                say(
                    f"{partial} has what is done so far; the same command goes on from there",
                    file=sys.stderr,
                )
            raise


@contextmanager
def _bar(name: str, *, shown: bool) -> "Iterator[tqdm[Any]]":
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    bar: tqdm[Any] = tqdm(
        desc=name,
        disable=not (shown and on_terminal),
        unit=" frames",
        bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} frames "
        "[{elapsed}<{remaining}, {rate_noinv_fmt}]",
    )
    with bar:
        yield bar
