"""Run work in several threads, on images of noise."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["TOO_LONG", "in_threads", "photo"]

TOO_LONG = 30  # seconds after which a deadlock is assumed

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def photo(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def in_threads(work: Callable[[ItemT], ResultT], items: Sequence[ItemT]) -> list[Any]:
    """Run `work` on each item in its own thread; return the results, and what was raised."""
    outcomes: list[Any] = [None] * len(items)

    def run(number: int) -> None:
        try:
            outcomes[number] = work(items[number])
        except Exception as error:
            outcomes[number] = error

    # Daemons, so that a deadlock is a failure and not a test that never ends.
    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(items))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(TOO_LONG)
    assert not any(thread.is_alive() for thread in threads), "threads wait for each other"
    return outcomes
