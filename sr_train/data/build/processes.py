"""`map` over several processes, which end when this one does."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from sr_runtime.errors import OutOfMemoryError
from sr_runtime.signals import ENDING

__all__ = ["map_in_processes"]

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_in_processes(
    function: Callable[[Item], Result], items: Iterable[Item], jobs: int
) -> Generator[Result, None, None]:
    """`map` in `jobs` processes, each at most two items ahead."""
    if jobs == 1:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    # Spawned: a forked process would inherit the locks that our threads happen to hold.
    context = multiprocessing.get_context("spawn")
    with (
        _single_threaded_children(),
        ProcessPoolExecutor(jobs, context, initializer=_end_with_parent) as pool,
    ):
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise OutOfMemoryError(
                f"one of {jobs} processes that decode images was killed, most likely because "
                "memory ran out: use fewer --jobs"
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """Leave signals to the whole group, as Ctrl-C is, to the parent, and end when it ends."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()


@contextlib.contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Processes started in the block run BLAS on one thread: together they use all cores.

    BLAS reads the environment when it is loaded.
    """
    name = "OMP_NUM_THREADS"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
