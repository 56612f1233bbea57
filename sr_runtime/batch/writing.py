"""Results that are being written: as many at once as there are threads and memory for."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

__all__ = ["Writing"]

# Limit on the results that are being written; a larger one is written alone.
WRITTEN_BYTES = 4 << 30


@dataclass(eq=False)
class _Result:
    nbytes: int
    write: Callable[[], None]
    has_begun: bool = False


class Writing:
    """Threads that write; leaving the context waits for them."""

    def __init__(self, most: int) -> None:
        """
        Args:
            most: Results at once.
        """
        self._most = most
        self._pool = ThreadPoolExecutor(most)
        self._results: list[_Result] = []  # that are being written
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            # Before Python 3.13 a thread counts as ended when Ctrl-C comes while it is joined
            # (gh-90882). Nobody would wait for what it writes.
            with self._changed:
                while not self._changed.wait_for(self._has_written_all, timeout=1):
                    pass  # again and again: on Windows, Ctrl-C does not interrupt a wait
        finally:
            self._pool.shutdown()

    def submit(self, nbytes: int, write: Callable[[], None]) -> None:
        """Have a result of `nbytes` written; wait for a thread, and for memory. `write` raises
        nothing.
        """
        result = _Result(nbytes, write)
        with self._changed:
            self._changed.wait_for(lambda: self._has_room(nbytes))
            self._results.append(result)
        try:
            self._pool.submit(self._write, result)
        except BaseException as error:
            # No new thread can be started, and the pool keeps it for those that are there.
            with self._changed:
                if not result.has_begun:
                    self._remove(result)
                elif isinstance(error, RuntimeError):
                    return
            raise

    def _has_written_all(self) -> bool:
        return not self._results

    def _has_room(self, nbytes: int) -> bool:
        return self._has_written_all() or (
            len(self._results) < self._most
            and sum(result.nbytes for result in self._results) + nbytes <= WRITTEN_BYTES
        )

    def _write(self, result: _Result) -> None:
        with self._changed:
            if result not in self._results:
                return  # `submit` has told that it is not written
            result.has_begun = True
        try:
            result.write()
        finally:
            self._remove(result)

    def _remove(self, result: _Result) -> None:
        with self._changed:
            self._results.remove(result)
            self._changed.notify_all()
