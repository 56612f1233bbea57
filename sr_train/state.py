"""The state of a run in one file: written whole or not at all, read without running anything."""

import contextlib
import os
import signal
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
        with atomic_path(path) as temporary:
            torch.save(state, temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
    except torch.AcceleratorError:
        raise
    # PyTorch's writer turns a full disk into a RuntimeError.
    except (OSError, RuntimeError) as error:
        raise ArgumentError(
            f"{path} cannot be written ({error}): make room; what it held before is unharmed, and "
            f"training goes on from there with --resume {path.parent}"
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
    """Let Ctrl-C and SIGTERM ask for an end instead of making one; yields who asks, the signal.

    A second Ctrl-C ends at once.
    """
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    former = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: received[0] if received else None
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
