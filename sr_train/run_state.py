"""The state of a run in one file: written whole or not at all, read without running anything."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from sr_runtime.atomic import atomic_path
from sr_runtime.errors import ArgumentError

__all__ = ["interruption", "load_state", "random_state", "restore_random_state", "save_state"]


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write tensors, numbers and names, nested; what was in `path` before stays until it is done.

    Raises ArgumentError if the disk is full or cannot be written.
    """
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:
        # PyTorch's writer raises a RuntimeError of its own over that of the disk.
        reason = error if isinstance(error, OSError) else error.__context__
        if not isinstance(reason, OSError):
            raise
        raise ArgumentError(
            f"{path} cannot be written ({reason.strerror}): make room; what it held before is "
            f"unharmed, and training goes on from there with --resume {path.parent}"
        ) from error


def load_state(path: Path) -> dict[str, Any]:
    """What `save_state` wrote, on the CPU.

    Raises ArgumentError if it is not there or is damaged.
    """
    if not path.exists():
        raise ArgumentError(f"{path} is not there: no run to resume; begin one with --run NAME")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    # PyTorch's reader raises whatever damaged bytes lead it to.
    except Exception as error:
        raise ArgumentError(
            f"{path} is damaged ({error}): begin a new run with --init on one of the files in "
            f"{path.parent / 'weights'}"
        ) from error
    return state


def random_state(device: torch.device) -> dict[str, Any]:
    """PyTorch's own random numbers, of the CPU and of `device`."""
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_random_state(state: dict[str, Any], device: torch.device) -> None:
    """Go on from `random_state()`."""
    torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"], device)


@contextlib.contextmanager
def interruption() -> Iterator[Callable[[], int | None]]:
    """Let Ctrl-C, SIGTERM and a closed terminal ask for an end; yields which signal has asked.

    A second Ctrl-C ends at once.
    """
    received: list[int] = []
    numbers = [signal.SIGINT, signal.SIGTERM]
    # nohup ignores it, and means it.
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)

    def note(number: int, _: FrameType | None) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    former = {number: signal.signal(number, note) for number in numbers}
    try:
        yield lambda: received[0] if received else None
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
