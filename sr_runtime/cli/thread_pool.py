"""Threads that take work only when one of them is free, and that stop together."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Self

__all__ = ["Stop", "StoppedError", "ThreadPool"]


class StoppedError(Exception):
    """The run is ending, by an error elsewhere or Ctrl-C: the work at hand is given up."""


class Stop:
    """What ends the work of several pools: the first error of any of their threads, or `set`."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self._event = threading.Event()

    def set(self, error: BaseException | None = None) -> None:
        """End the work; the first `error` is kept."""
        self.error = self.error or error
        self._event.set()

    def check(self) -> None:
        """Raise StoppedError if the work has ended."""
        if self._event.is_set():
            raise StoppedError


class ThreadPool:
    """Runs calls in a few threads; whoever submits one waits until a thread is free for it."""

    def __init__(self, threads: int, stop: Stop, *, max_nbytes: float = float("inf")) -> None:
        """
        Args:
            max_nbytes: Limit on the memory of the calls at work; a larger one runs alone.
        """
        self._pool = ThreadPoolExecutor(threads)
        self._threads, self._stop, self._max_nbytes = threads, stop, max_nbytes
        self._running = self._nbytes = 0
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def submit(self, call: Callable[[], None], *, nbytes: int = 0) -> None:
        """Run `call`, which holds `nbytes`, in a thread; StoppedError if the work ends first."""
        with self._changed:
            self._wait_for(lambda: self._has_room(nbytes))
            self._stop.check()
            self._running += 1
            self._nbytes += nbytes
        self._pool.submit(self._run, call, nbytes)

    def wait(self) -> None:
        """Wait until every call has returned."""
        with self._changed:
            self._wait_for(lambda: not self._running)

    def _wait_for(self, condition: Callable[[], bool]) -> None:
        # Again and again: on Windows, Ctrl-C does not interrupt a wait.
        while not self._changed.wait_for(condition, timeout=1):
            pass

    def _has_room(self, nbytes: int) -> bool:
        if self._running == 0:
            return True
        return self._running < self._threads and self._nbytes + nbytes <= self._max_nbytes

    def _run(self, call: Callable[[], None], nbytes: int) -> None:
        try:
            call()
        except StoppedError:
            pass
        except BaseException as error:
            self._stop.set(error)
        finally:
            with self._changed:
                self._running -= 1
                self._nbytes -= nbytes
                self._changed.notify_all()
