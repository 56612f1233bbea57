"""Reports the builder's progress, and cancels it by Ctrl-C or on request."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from sr_runtime.backends.tensorrt.library import Library
from sr_runtime.errors import BackendError
from sr_runtime.signals import signals_held_back

__all__ = ["Monitor", "Progress", "in_thread"]

Progress = Callable[[str, int, int], None]


class Monitor:
    """Reports the builder's steps, and tells it to stop.

    Its methods must not raise: TensorRT prints an exception that reaches it, and loses it.
    """

    def __init__(self, progress: Progress | None, cancelled: Callable[[], bool] | None) -> None:
        self._progress = progress
        self._cancelled = cancelled
        self._steps: dict[str, int] = {}
        self._error: BaseException | None = None
        self.stop = threading.Event()

    def listener(self, library: Library) -> Any:
        """The object for the builder; it must live until the build has ended."""
        base: Any = library.trt.IProgressMonitor
        monitor = self

        class Listener(base):  # type: ignore[misc]  # the library is known only now
            def phase_start(self, phase_name: str, parent_phase: str, num_steps: Any) -> None:
                monitor.phase_start(phase_name, int(num_steps))

            def step_complete(self, phase_name: str, step: Any) -> bool:
                return monitor.step_complete(phase_name, int(step))

            def phase_finish(self, phase_name: str) -> None:
                monitor.phase_finish(phase_name)

        return Listener()

    def phase_start(self, phase: str, steps: int) -> None:
        self._steps[phase] = steps
        self._report(phase, 0)

    def step_complete(self, phase: str, step: int) -> bool:
        self._report(phase, step + 1)
        return not self.stop.is_set()

    def phase_finish(self, phase: str) -> None:
        self._report(phase, self._steps.get(phase, 0))

    def _report(self, phase: str, done: int) -> None:
        try:
            if self._cancelled is not None and self._cancelled():
                self._error = BackendError("the build of the engine was cancelled")
            if self._progress is not None:
                self._progress(phase, done, self._steps.get(phase, 0))
        except BaseException as error:
            self._error = error
        if self._error is not None:
            self.stop.set()

    def check(self) -> None:
        """Raise what a callback raised."""
        if self._error is not None:
            raise self._error


def in_thread(build: Callable[[], bytes], monitor: Monitor) -> bytes:
    """Run `build` in its own thread, so that Ctrl-C arrives here and not inside TensorRT.

    `build` has ended when this returns or raises.
    """
    with signals_held_back(monitor.stop.set), ThreadPoolExecutor(1, "TensorRT builder") as thread:
        plan = thread.submit(build)
        while wait([plan], timeout=0.1).not_done:
            pass  # again and again: on Windows, Ctrl-C does not interrupt a wait
    return plan.result()
