"""The progress of an engine's build as a bar on the console."""

import sys
import threading

from tqdm import tqdm

__all__ = ["BuildBar"]


class BuildBar:
    """How far the build is, with its innermost phase in words.

    TensorRT's phases nest: a step of one is a phase of several steps, or more than one such phase.
    Called from the builder's thread.
    """

    def __init__(self) -> None:
        self._bar = tqdm(
            total=1.0,
            disable=sys.stderr is None,  # as in a program without a console
            bar_format="{desc} {percentage:3.0f}%|{bar}| [{elapsed}]",
            desc="building",
        )
        self._share = 0.0
        self._phases: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> "BuildBar":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def __call__(self, phase: str, done: int, total: int) -> None:
        """Note that `done` of a phase's `total` steps are done."""
        with self._lock:
            if done < total:
                self._phases[phase] = done, total
            else:
                self._phases.pop(phase, None)
            share = 0.0
            for steps_done, steps in reversed(self._phases.values()):
                share = (steps_done + share) / steps
            # Never back: between two inner phases the outer step is not done yet.
            self._share = max(self._share, share if self._phases else 1.0)
            self._bar.n = self._share
            name = next(reversed(self._phases), "done")
            self._bar.set_description_str(f"building: {name}", refresh=True)
