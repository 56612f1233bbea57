"""The progress of many images, several of which may be upscaled at once.

A terminal shows a bar. In a pipe or a log file that would be one line of thousands of pieces:
there, each of several images gets a line when it is done.
"""

import sys
import threading
import time
from collections.abc import Sequence

from tqdm import tqdm

from sr_runtime.batch.bar import Bar
from sr_runtime.batch.job import Job
from sr_runtime.cli.console import say
from sr_runtime.image.header import header_of
from sr_runtime.printable import printable

__all__ = ["ProgressBar"]

SAMPLED = 1000
"""Images whose size is read before the work, at most; of more images the total is estimated."""


class ProgressBar(Bar):
    """Megapixels done of all images, and the latest one's name. Any thread may call it."""

    def __init__(self, jobs: Sequence[Job], *, shown: bool, logs: bool = True) -> None:
        """
        Args:
            logs: Print lines where there is no terminal.
        """
        self._jobs = jobs
        self._finished = 0.0
        self._begun = self._ended = 0
        on_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._logs = shown and logs and not on_terminal and len(jobs) > 1
        self._has_bar = shown and on_terminal and len(jobs) > 0
        step = -(-len(jobs) // SAMPLED) if self._has_bar else len(jobs) + 1
        self._pixels = {number: self._read_pixels(number) for number in range(0, len(jobs), step)}
        self._mean = sum(self._pixels.values()) / max(1, len(self._pixels))
        self._places: dict[int, int] = {}  # of each image in progress, from 1
        self._shares: dict[int, float] = {}  # done of each image in progress, latest last
        self._writing: dict[int, float] = {}  # when the writing of an image by rows began
        self._lock = threading.Lock()
        self._bar = tqdm(
            total=self._mean * len(jobs) / 1e6,
            disable=not self._has_bar,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n:.2f}/{total:.2f} MP "
            "[{elapsed}<{remaining}, {rate_noinv_fmt}]",
            unit=" MP",
        )

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    @property
    def total(self) -> float:
        """Megapixels of all images that are to be done, as far as is known."""
        return self._bar.total or 0.0

    def start(self, number: int) -> None:
        with self._lock:
            if self._has_bar and number not in self._pixels:
                self._pixels[number] = self._read_pixels(number)
                self._expect(self._pixels[number] - self._mean)
            self._begun += 1
            self._shares[number], self._places[number] = 0, self._begun
            self._show("reading")

    def tiles(self, number: int, done: int, total: int) -> None:
        with self._lock:
            self._shares[number] = done / total
            self._show(f"tile {done}/{total}")

    def writing(self, number: int, done: int, total: int) -> None:
        with self._lock:
            begun = self._writing.setdefault(number, time.perf_counter())
            left = ""
            if done:
                seconds = (time.perf_counter() - begun) * (total - done) / done
                left = f" {done / total:.0%}, {tqdm.format_interval(seconds)} left"
            self._show(f"writing{left}")

    def finish(self, number: int, *, failed: bool) -> None:
        with self._lock:
            del self._shares[number], self._places[number]
            self._writing.pop(number, None)
            self._finished += self._pixels.pop(number, 0)
            self._ended += 1
            self._show("done")
            if self._logs:
                place, source = f"{self._ended}/{len(self._jobs)}", self._jobs[number].source
                say(f"{place} {source}{' failed' if failed else ''}", file=sys.stderr)

    def skip(self, number: int) -> None:
        with self._lock:
            self._begun += 1
            self._ended += 1
            if self._has_bar:
                self._expect(-self._pixels.pop(number, self._mean))

    def _expect(self, more: float) -> None:
        """Correct the total, by pixels."""
        self._bar.total = self.total + more / 1e6

    def _read_pixels(self, number: int) -> int:
        header = header_of(self._jobs[number].source)
        return header.height * header.width * header.frames if header else 0

    def _show(self, state: str) -> None:
        """Show what is done; `state` is shown only if one image is in progress."""
        if self._shares:
            latest, *others = reversed(self._shares)
            place = f"{self._places[latest]}/{len(self._jobs)} " if len(self._jobs) > 1 else ""
            state = f"and {len(others)} more" if others else state
            name = printable(self._jobs[latest].name)
            self._bar.set_description_str(f"{place}{name} {state}", refresh=False)
        begun = sum(share * self._pixels.get(number, 0) for number, share in self._shares.items())
        if not self._bar.update((self._finished + begun) / 1e6 - self._bar.n):
            self._bar.refresh()
