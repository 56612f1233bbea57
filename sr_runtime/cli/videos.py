"""The videos of a command line, one after the other: each keeps the whole machine busy."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from sr_runtime.cli.console import say
from sr_runtime.cli.inputs import Failure
from sr_runtime.cli.job import Job
from sr_runtime.errors import ArgumentError, BackendError, ModelError, SRError
from sr_runtime.image import DEFAULT_MAX_PIXELS
from sr_runtime.output_size import OutputSize
from sr_runtime.printable import printable
from sr_runtime.storage.atomic import create_folder
from sr_runtime.upscaler import Upscaler
from sr_runtime.video import partial_file, upscale_video

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
    upscaler: Upscaler, jobs: Sequence[Job], arguments: argparse.Namespace, size: OutputSize
) -> list[Failure]:
    """Upscale the videos; return those that failed. After Ctrl-C, say what can be played."""
    failures = []
    for number, job in enumerate(jobs, start=1):
        name = printable(job.source.name)
        place = f"{number}/{len(jobs)} " if len(jobs) > 1 else ""
        try:
            create_folder(job.target.parent)
            with _bar(place + name, shown=not arguments.quiet) as bar:

                def show(done: int, total: int | None, bar: "tqdm[Any]" = bar) -> None:
                    bar.total = total
                    bar.update(done - bar.n)

                upscale_video(
                    upscaler,
                    job.source,
                    job.target,
                    scale=size.scale,
                    width=size.width,
                    height=size.height,
                    codec=arguments.codec,
                    crf=arguments.crf,
                    deinterlace=arguments.deinterlace,
                    max_pixels=arguments.max_pixels or DEFAULT_MAX_PIXELS,
                    progress=show,
                )
        except (ModelError, BackendError):
            raise
        except SRError as error:
            error.path = error.path or job.source
            failures.append(Failure(job.source, error))
        except KeyboardInterrupt:
            if (partial := partial_file(job.target)).exists():
                say(
                    f"{partial} has what is done so far; the same command goes on from there",
                    file=sys.stderr,
                )
            raise
        if len(jobs) > 1 and not arguments.quiet and not sys.stderr.isatty():
            failed = bool(failures) and failures[-1].source == job.source
            say(f"{place}{job.source}{' failed' if failed else ''}", file=sys.stderr)
    return failures


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
