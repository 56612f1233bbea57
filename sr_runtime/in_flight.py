"""The limit on batches in flight, shared by the threads that use one backend."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakSet

__all__ = ["Holder", "InFlightLimiter", "wait_until"]

RECHECK = 0.5  # seconds


class Holder:
    """What one image holds of the limits. If Ctrl-C ends it anywhere, that ends with the object."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        """Height and width of its tiles."""
        self.slots = 0
        self.submitting = self.waiting = self.exclusive = False


class InFlightLimiter:
    """Limits the batches in flight and decides which thread may submit.

    Deadlock-free: a thread that holds slots never blocks; it drains its own oldest batch. Threads
    that wait for a turn, or for exclusive use, hold no slot.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        # Sums over those that live, and not counters, which an interrupt could leave wrong.
        self._holders: WeakSet[Holder] = WeakSet()
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)

    def holder(self, shape: tuple[int, int]) -> Holder:
        """An image with tiles of `shape`, which holds nothing yet; the caller keeps it alive."""
        holder = Holder(shape)
        with self._lock:
            self._holders.add(holder)
        return holder

    @contextmanager
    def turn(self, holder: Holder) -> Iterator[None]:
        """Submit the tiles of one image within the block; tiles of other shapes wait.

        An engine prepares itself anew whenever the shape changes, so shapes must not alternate.
        """
        try:
            with self._lock:
                if self._others_come_first(holder):
                    holder.waiting = True
                    wait_until(self._changed, lambda: not any(self._submitting()))
                    holder.waiting = False
                holder.submitting = True
            yield
        finally:
            with self._lock:
                holder.submitting = holder.waiting = False
                self._changed.notify_all()

    def take(self, holder: Holder, *, wait: bool) -> bool:
        """Take a slot. Without `wait`, return False if none is free."""
        with self._lock:
            if wait:
                wait_until(self._changed, self._is_free)
            free = self._is_free()
            holder.slots += free
            return free

    def give_back(self, holder: Holder) -> None:
        """Give back a slot that was taken."""
        with self._lock:
            holder.slots -= 1
            self._changed.notify_all()

    def give_back_all(self, holder: Holder) -> None:
        """Give back what is still taken: none of the image's batches is in flight any more."""
        with self._lock:
            holder.slots = 0
            self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Wait until nothing is in flight, and keep it so within the block.

        Only for a thread that holds no slot.
        """
        mine = self.holder((0, 0))
        try:
            with self._lock:
                wait_until(self._changed, lambda: not self._is_reserved())
                mine.exclusive = True  # from here on no thread takes a slot
                wait_until(self._changed, lambda: self._taken() == 0)
            yield
        finally:
            with self._lock:
                mine.exclusive = False
                self._changed.notify_all()

    def _others_come_first(self, holder: Holder) -> bool:
        """Whether another image submits whose shape differs, or for whose end a third one waits."""
        submitting = self._submitting()
        other_shape = any(other.shape != holder.shape for other in submitting)
        return other_shape or (any(submitting) and any(other.waiting for other in self._holders))

    def _submitting(self) -> list[Holder]:
        return [holder for holder in self._holders if holder.submitting]

    def _taken(self) -> int:
        return sum(holder.slots for holder in self._holders)

    def _is_reserved(self) -> bool:
        return any(holder.exclusive for holder in self._holders)

    def _is_free(self) -> bool:
        return self._taken() < self._slots and not self._is_reserved()


def wait_until(changed: threading.Condition, fulfilled: Callable[[], bool]) -> None:
    """Wait until a condition, whose lock the caller holds, is fulfilled.

    It is checked again and again, since an image that is interrupted twice ends without a word.
    """
    while not fulfilled():
        changed.wait(RECHECK)
