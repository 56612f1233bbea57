"""The stages of a long job: timed, passed on to a callback, and shown on the console."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["BuildFraction", "Progress", "StageLines", "Stages"]

Progress = Callable[[str, float], None]
"""Called with the name of a stage and the share of it that is done, from 0 to 1.

Every stage begins with 0 and ends with 1. What the callback raises ends the job.
"""


class Stages:
    """Times the stages of one job and reports them."""

    def __init__(self, progress: Progress | None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress or (lambda _stage, _share: None)

    @contextmanager
    def stage(self, name: str) -> Iterator[Callable[[float], None]]:
        """Time the block as stage `name`; yield what reports the share of it that is done."""
        start = time.monotonic()
        self._progress(name, 0.0)
        # 0 and 1 are the stage's begin and end, and come once.
        yield lambda share: self._progress(name, min(max(share, 0.001), 0.999))
        self.seconds[name] = time.monotonic() - start
        self._progress(name, 1.0)


class StageLines:
    """Prints one line for each stage: `searching the halo … 31.2 s`.

    On a terminal the line shows the percentage while the stage runs.
    """

    def __init__(self) -> None:
        self._start = 0.0
        self._shown = ""
        self._live = sys.stdout is not None and sys.stdout.isatty()

    def __enter__(self) -> "StageLines":
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:  # a stage failed: what is printed next begins on its own line
            print(flush=True)

    def __call__(self, stage: str, share: float) -> None:
        """Show that `share` of `stage` is done. Any thread may call this."""
        if share == 0:
            self._start = time.monotonic()
            self._shown = f"{stage} … "
            print(self._shown, end="", flush=True)
        elif share == 1:
            restart = f"\r{stage} … " if self._live else ""
            print(f"{restart}{time.monotonic() - self._start:.1f} s", flush=True)
            self._shown = ""
        elif self._live and (text := f"{stage} … {share:.0%}") != self._shown:
            self._shown = text
            print(f"\r{text}", end="", flush=True)


class BuildFraction:
    """Turns the phases of TensorRT's builder into the share of the build that is done.

    Phases nest: a step of a phase may itself be one phase or several.
    """

    def __init__(self, report: Callable[[float], None]) -> None:
        self._report = report
        self._share = 0.0
        self._phases: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Note, from the builder's thread, that `done` of a phase's `total` steps are done."""
        with self._lock:
            if done < total:
                self._phases[phase] = done, total
            else:
                self._phases.pop(phase, None)
            share = 0.0
            for steps_done, steps in reversed(self._phases.values()):
                share = (steps_done + share) / steps
            # Never backwards: between two inner phases the outer step is not done yet.
            self._share = max(self._share, share)
            self._report(self._share)
