"""The limit on batches in flight, for the threads that share a backend."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["InFlightLimiter"]


class InFlightLimiter:
    """As many slots as a backend holds batches, and whose turn it is to submit them.

    Deadlock-free: a thread that holds slots never blocks; it drains its own oldest batch. Threads
    that wait for a turn, or for exclusive use, hold none.
    """

    def __init__(self, places: int) -> None:
        self._places = self._free = places
        self._reserved = False
        self._shape = (0, 0)
        self._submitting = self._waiting = 0  # threads in their turn, and those that wait for one
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, shape: tuple[int, int]) -> Iterator[None]:
        """In the block an image's tiles of this shape are submitted; those of other shapes wait.

        Mixed, they would have an engine prepare itself anew for every batch.
        """
        with self._changed:
            if self._submitting and (shape != self._shape or self._waiting):
                self._waiting += 1
                try:
                    self._changed.wait_for(lambda: not self._submitting)
                finally:
                    self._waiting -= 1
            self._shape = shape
            self._submitting += 1
        try:
            yield
        finally:
            with self._changed:
                self._submitting -= 1
                self._changed.notify_all()

    def take(self, *, wait: bool) -> bool:
        """Take a place; False if there is none, and the caller does not want to wait for it."""
        with self._changed:
            while self._reserved or not self._free:
                if not wait:
                    return False
                self._changed.wait()
            self._free -= 1
            return True

    def give_back(self) -> None:
        """Give back one that was taken."""
        with self._changed:
            self._free += 1
            self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """In the block nothing is in flight; for a thread that has no place."""
        with self._changed:
            self._changed.wait_for(lambda: not self._reserved)
            self._reserved = True  # and nobody takes a place any more
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._free == self._places)
            yield
        finally:
            with self._changed:
                self._reserved = False
                self._changed.notify_all()
