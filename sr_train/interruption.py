"""Ctrl-C, SIGTERM and a closed terminal as requests that training answers between two steps."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["interruption"]

ONE_PRESS = 1.0


@contextlib.contextmanager
def interruption() -> Iterator[Callable[[], int | None]]:
    """Catch the signals that request an end; yields a function that returns the first one's number.

    A second Ctrl-C raises KeyboardInterrupt at once, unless it comes within ONE_PRESS seconds:
    `timeout` and some shells send one request twice, to a process and to its group. Outside the
    main thread Python can catch no signal: there the function returns None.
    """
    received: list[int] = []
    first = 0.0
    numbers: list[int] = []
    if threading.current_thread() is threading.main_thread():
        numbers += [signal.SIGINT, signal.SIGTERM]
        # nohup ignores SIGHUP so that the run outlives its terminal.
        if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.append(signal.SIGHUP)

    def note(number: int, _: FrameType | None) -> None:
        nonlocal first
        if not received:
            first = time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - first > ONE_PRESS:
            raise KeyboardInterrupt
        received.append(number)

    former = {number: signal.signal(number, note) for number in numbers}
    try:
        yield lambda: received[0] if received else None
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
