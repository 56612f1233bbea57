"""Ctrl-C, SIGTERM and a closed terminal, so that what a program has begun is removed before it
ends."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["ENDING", "signals_as_interrupts", "signals_held_back"]

ENDING = [signal.SIGINT, signal.SIGTERM]
"""The signals that request the end of a program."""
if sys.platform != "win32":
    ENDING.append(signal.SIGHUP)


@contextmanager
def signals_as_interrupts() -> Iterator[None]:
    """Make each signal of ENDING a KeyboardInterrupt with the signal's number.

    A second signal ends the process at once, also after the block. A signal that is ignored, as
    nohup ignores SIGHUP, stays so, and so does one that the program handles itself. Outside the
    main thread nothing changes, because Python hears signals there only.
    """
    former = {number: signal.getsignal(number) for number in ENDING}
    ours = [n for n in ENDING if former[n] in (signal.SIG_DFL, signal.default_int_handler)]
    if threading.current_thread() is not threading.main_thread():
        ours = []
    interrupted = False

    def interrupt(number: int, _: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True
        for each in ours:
            signal.signal(each, signal.SIG_DFL)
        raise KeyboardInterrupt(number)

    for number in ours:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in [] if interrupted else ours:
            signal.signal(number, former[number])


@contextmanager
def signals_held_back(on_signal: Callable[[], None]) -> Iterator[None]:
    """Call `on_signal` for each of ENDING in the block, and raise them again after it.

    A KeyboardInterrupt could leave the block at any place, and a second one any `except`.
    """
    heard: set[int] = set()

    def hear(number: int, frame: object) -> None:
        heard.add(number)
        on_signal()

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in ENDING}
        before = {number: handler for number, handler in handlers.items() if callable(handler)}
    try:
        for number in before:
            signal.signal(number, hear)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in heard:
            signal.raise_signal(late)
