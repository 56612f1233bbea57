"""One part of the benchmark in a process of its own.

A part that crashes or hangs is ended, and the next one finds a GPU that nobody has disturbed: after
a kernel's invalid access, a process can use its GPU no more.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import NamedTuple

import torch

from benchmarks.gpu.run import Found, Run, reason_of
from sr_runtime.backends.tensorrt.cache_folder import CACHE_VARIABLE
from sr_runtime.errors import SRError

__all__ = ["Event", "Measure", "in_a_process"]

Measure = Callable[[Run], Found]
"""A part; a function of a module, which another process can import."""
if sys.platform == "win32":
    Process = multiprocessing.get_context("spawn").Process
else:
    Process = multiprocessing.get_context("forkserver").Process
# Seconds that a process has to end after its part.
FAREWELL = 10.0


class Event(NamedTuple):
    """A message from the process of a part."""

    kind: str
    """"found", "left out" or "ended"."""
    what: str
    """The name of what was found or left out."""
    value: object
    """What was found; the reason; None or why the part ended early."""


def in_a_process(measure: Measure, run: Run, limit: float) -> Iterator[Event]:
    """Yield what a part finds and leaves out, and finally that it has ended.

    The process is killed after `limit` seconds, or when the caller takes no more.
    """
    # Forked from a server that has imported torch once, but never used a GPU.
    multiprocessing.set_forkserver_preload(["benchmarks.gpu.parts"])
    ours, theirs = multiprocessing.Pipe(duplex=False)
    process = Process(target=_work, args=(measure, run, theirs))
    end = time.monotonic() + limit
    process.start()
    theirs.close()
    try:
        while ours.poll(max(0.0, end - time.monotonic())):
            event: Event = ours.recv()
            if event.kind == "ended":
                process.join(FAREWELL)
                break
            yield event
        else:
            event = Event("ended", "", f"it was stopped after {limit:.0f} s: give more --minutes")
    except EOFError:
        process.join()
        event = Event("ended", "", f"its process was ended by {_ending(process.exitcode)}")
    finally:
        process.kill()
        process.join()
        ours.close()
    yield event


def _work(measure: Measure, run: Run, pipe: Connection) -> None:
    """Run the part and tell what it finds."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the parent ends this process
    threading.Thread(target=_end_with_parent, daemon=True).start()
    run.cache.mkdir(parents=True, exist_ok=True)
    os.environ[CACHE_VARIABLE] = str(run.cache)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(run.cache / "inductor")
    run.leave_out = lambda what, reason: pipe.send(Event("left out", what, reason))
    reason = None
    try:
        with run.held:
            if run.device.type == "cuda":
                torch.cuda.set_device(run.device)
            for what, value in measure(run):
                pipe.send(Event("found", what, value))
    # One failed part must not lose the others.
    except Exception as error:
        reason = reason_of(error)
        if not isinstance(error, SRError):
            traceback.print_exc()
    pipe.send(Event("ended", "", reason))


def _end_with_parent() -> None:
    """End this process when the benchmark is killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _ending(code: int | None) -> str:
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
