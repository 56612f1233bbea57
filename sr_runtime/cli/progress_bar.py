"""The progress of many images, several of which may be upscaled at once.

A terminal shows a bar. In a pipe or a log file that would be one line of thousands of pieces:
there, each of several images gets a line when it is done.
"""

import sys
import threading
from collections.abc import Sequence

from tqdm import tqdm

from sr_runtime.cli.console import say
from sr_runtime.cli.job import Job
from sr_runtime.cli.names import header_of
from sr_runtime.printable import printable

__all__ = ["ProgressBar"]


class ProgressBar:
    """Megapixels done of all images, and the latest one's name. Any thread may call it."""

    def __init__(self, jobs: Sequence[Job], shown: bool) -> None:
        self._jobs = jobs
        self._finished = 0
        self._ended = 0
        on_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._logs = shown and not on_terminal and len(jobs) > 1
        has_bar = shown and on_terminal
        headers = [header_of(job.source) if has_bar else None for job in jobs]
        self._pixels = [h.height * h.width * h.frames if h else 0 for h in headers]
        self._places: dict[int, int] = {}  # of each image that was begun, from 1
        self._shares: dict[int, float] = {}  # done of each image in progress, latest last
        self._lock = threading.Lock()
        self._bar = tqdm(
            total=sum(self._pixels) / 1e6,
            disable=not has_bar,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n:.2f}/{total:.2f} MP "
            "[{elapsed}<{remaining}, {rate_noinv_fmt}]",
            unit=" MP",
        )

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def start(self, number: int) -> None:
        """Begin a job; its image may still be loading."""
        with self._lock:
            self._shares[number] = 0
            self._places[number] = len(self._places) + 1
            self._show("reading")

    def tiles(self, number: int, done: int, total: int) -> None:
        """Show that `done` of a job's `total` tiles are done."""
        with self._lock:
            self._shares[number] = done / total
            self._show(f"tile {done}/{total}")

    def finish(self, number: int, *, failed: bool) -> None:
        """End a job, with a result, which may still be written, or without."""
        with self._lock:
            del self._shares[number]
            self._finished += self._pixels[number]
            self._ended += 1
            self._show("done")
            if self._logs:
                place, source = f"{self._ended}/{len(self._jobs)}", self._jobs[number].source
                say(f"{place} {source}{' failed' if failed else ''}", file=sys.stderr)

    def _show(self, state: str) -> None:
        """Show what is done; `state` is shown only if one image is in progress."""
        if self._shares:
            latest, *others = reversed(self._shares)
            place = f"{self._places[latest]}/{len(self._jobs)} " if len(self._jobs) > 1 else ""
            state = f"and {len(others)} more" if others else state
            name = printable(self._jobs[latest].source.name)
            self._bar.set_description_str(f"{place}{name} {state}", refresh=False)
        begun = sum(share * self._pixels[number] for number, share in self._shares.items())
        if not self._bar.update((self._finished + begun) / 1e6 - self._bar.n):
            self._bar.refresh()
