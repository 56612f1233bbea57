"""The progress bar of many images, of which several may be in work."""

import math
import sys
import threading
from collections.abc import Sequence

from tqdm import tqdm

from sr_runtime import image
from sr_runtime.cli.jobs import Job

__all__ = ["ProgressBar"]


class ProgressBar:
    """Megapixels done of all the images, with the newest one in work. Any thread may tell it."""

    def __init__(self, jobs: Sequence[Job], shown: bool) -> None:
        self._jobs = jobs
        self._pixels = [shown and math.prod(image.size_and_frames(job.source)) for job in jobs]
        self._finished = 0
        self._shares: dict[int, float] = {}  # done of the images in work, the newest last
        self._lock = threading.Lock()
        self._bar = tqdm(
            total=sum(self._pixels) / 1e6,
            disable=not shown or sys.stderr is None,  # as in a program without a console
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n:.2f}/{total:.2f} MP "
            "[{elapsed}<{remaining}, {rate_noinv_fmt}]",
            unit=" MP",
        )

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def start(self, number: int) -> None:
        """The job of this number is in work, and first of all being read."""
        with self._lock:
            self._shares[number] = 0
            self._show("reading")

    def tiles(self, number: int, done: int, total: int) -> None:
        """So many tiles of a job in work are done."""
        with self._lock:
            self._shares[number] = done / total
            self._show(f"tile {done}/{total}")

    def finish(self, number: int) -> None:
        """A job is out of work, with a result or without."""
        with self._lock:
            del self._shares[number]
            self._finished += self._pixels[number]
            self._show("done")

    def _show(self, state: str) -> None:
        """Show what is done; `state` is that of the image in work, if it is the only one."""
        if self._shares:
            newest, *others = reversed(self._shares)
            place = f"{newest + 1}/{len(self._jobs)} " if len(self._jobs) > 1 else ""
            state = f"and {len(others)} more" if others else state
            name = self._jobs[newest].source.name
            self._bar.set_description_str(f"{place}{name} {state}", refresh=False)
        in_work = sum(share * self._pixels[number] for number, share in self._shares.items())
        if not self._bar.update((self._finished + in_work) / 1e6 - self._bar.n):
            self._bar.refresh()
