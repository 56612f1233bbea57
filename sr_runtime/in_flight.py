"""The limit on batches in flight, shared by the threads that use one backend."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["InFlightLimiter"]


class InFlightLimiter:
    """Limits the batches in flight and decides which thread may submit.

    Deadlock-free: a thread that holds slots never blocks; it drains its own oldest batch. Threads
    that wait for a turn, or for exclusive use, hold no slot.
    """

    def __init__(self, slots: int) -> None:
        self._slots = self._free = slots
        self._reserved = False
        self._shape = (0, 0)
        self._submitting = self._waiting = 0  # threads that have a turn, and that wait for one
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, shape: tuple[int, int]) -> Iterator[None]:
        """Submit the tiles of one image within the block; tiles of other shapes wait.

        An engine prepares itself anew whenever the shape changes, so shapes must not alternate.
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
        """Take a slot. Without `wait`, return False if none is free."""
        with self._changed:
            while self._reserved or not self._free:
                if not wait:
                    return False
                self._changed.wait()
            self._free -= 1
            return True

    def give_back(self) -> None:
        """Give back a slot that was taken."""
        with self._changed:
            self._free += 1
            self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Wait until nothing is in flight, and keep it so within the block.

        Only for a thread that holds no slot.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._reserved)
            self._reserved = True  # from here on no thread takes a slot
        try:
            with self._changed:
                self._changed.wait_for(lambda: self._free == self._slots)
            yield
        finally:
            with self._changed:
                self._reserved = False
                self._changed.notify_all()
