"""Batches through a bare engine, as many in flight as it holds; no tiling, no files."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from numpy.typing import NDArray

from sr_runtime.backends.base import Backend, PendingBatch
from sr_runtime.errors import SRError

__all__ = ["stream"]

Batch = NDArray[Any]


def stream(
    backend: Backend, batches: Iterable[Batch], take: Callable[[Batch], None] | None = None
) -> float:
    """Seconds from the first batch's submission to the last one's result.

    `take` receives each result in order; the array is valid until it returns.
    """
    pending: deque[PendingBatch] = deque()

    def finish_one() -> None:
        handle = pending.popleft()
        try:
            output = handle.result()
            if take is not None:
                take(output)
        finally:
            handle.release()

    start = time.perf_counter()
    try:
        for batch in batches:
            if len(pending) == backend.limits.depth:
                finish_one()
            pending.append(backend.submit(batch))
        while pending:
            finish_one()
    finally:
        while pending:  # after an error, which is already being raised
            with contextlib.suppress(SRError):
                finish_one()
    return time.perf_counter() - start
