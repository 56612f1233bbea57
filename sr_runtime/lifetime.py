"""How long an engine stays open: until it is closed and no image needs it any more."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet

from sr_runtime.backends.base import Backend
from sr_runtime.backends.fork import check_not_forked
from sr_runtime.errors import ArgumentError
from sr_runtime.in_flight import wait_until

__all__ = ["Lifetime"]


class Lifetime:
    """Keeps a backend open while calls use it, and closes it once."""

    def __init__(self, backend: Backend) -> None:
        self._process = os.getpid()
        self._to_close = [backend]
        self._closing = False
        # Not a number, which Ctrl-C could leave one too high.
        self._in_work: WeakSet[_Call] = WeakSet()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Keep the engine open within the block.

        Raises ArgumentError if it is closed, BackendError if this process was forked.
        """
        check_not_forked(self._process)
        call = _Call()
        try:
            with self._lock:
                if self._closing:
                    raise ArgumentError("this upscaler is closed: load the model again")
                self._in_work.add(call)
            yield
        finally:
            with self._lock:
                self._in_work.discard(call)
                self._close_unused()
                self._changed.notify_all()

    def close(self) -> None:
        """Refuse new calls, wait for those in work, and close the engine.

        If Ctrl-C interrupts the wait, the last call closes it. A forked process leaves it alone.
        """
        if self._process != os.getpid():
            return
        with self._lock:
            self._closing = True
            try:
                wait_until(self._changed, lambda: not self._in_work)
            finally:
                self._close_unused()

    def _close_unused(self) -> None:
        if self._closing and not self._in_work:
            while self._to_close:
                self._to_close.pop().close()


class _Call:
    """One call that needs the engine. If Ctrl-C ends it anywhere, that ends with the object."""
