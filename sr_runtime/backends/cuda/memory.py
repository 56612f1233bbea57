"""The few things needed of CUDA, over PyCUDA where it is installed, else over cuda.bindings.

Everything happens in the device's primary context, the one that torch, onnxruntime and TensorRT
use too, so that all of them may live in one process.
"""

from contextlib import AbstractContextManager
from types import ModuleType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sr_runtime.errors import BackendError, OutOfMemoryError

__all__ = [
    "NO_GPU",
    "Device",
    "DeviceMemory",
    "Graph",
    "PinnedMemory",
    "Stream",
    "device_names",
    "missing",
    "not_enough",
    "open_device",
]

NO_GPU = "CUDA finds no GPU: check CUDA_VISIBLE_DEVICES and nvidia-smi"


class DeviceMemory(Protocol):
    """A piece of the GPU's memory, aligned to 256 bytes."""

    address: int
    nbytes: int

    def free(self) -> None: ...


class PinnedMemory(Protocol):
    """A piece of page-locked host memory, from and to which copies run beside computation."""

    array: NDArray[np.uint8]
    """All of its bytes; not to be used after `free`."""

    def free(self) -> None: ...


class Graph(Protocol):
    """What was captured on a stream, to be launched as one."""

    def launch(self) -> None:
        """Queue it on the stream that it was captured on."""

    def close(self) -> None: ...


class Stream(Protocol):
    """Work that the GPU does in order, beside that of other streams."""

    handle: int

    def upload(self, target: DeviceMemory, source: PinnedMemory, nbytes: int) -> None:
        """Queue a copy of the first `nbytes`."""

    def download(self, target: PinnedMemory, source: DeviceMemory, nbytes: int) -> None:
        """Queue a copy of the first `nbytes`."""

    def wait(self) -> None:
        """Sleep until all that is queued is done; BackendError for what went wrong meanwhile."""

    def begin_capture(self) -> bool:
        """Record what is queued from now on instead of doing it; False where that cannot be."""

    def end_capture(self) -> Graph | None:
        """What was recorded; None where something was queued that cannot be recorded."""

    def close(self) -> None: ...


class Device(Protocol):
    """One GPU. All but `current` and `close` are for inside a `with device.current()` block."""

    name: str
    compute_capability: str
    """"9.0" for instance."""

    def current(self) -> AbstractContextManager[None]:
        """Make its context the calling thread's, and put back the one before at the end."""

    def free_memory(self) -> int:
        """Bytes that could be allocated."""

    def allocate(self, nbytes: int) -> DeviceMemory:
        """Raises OutOfMemoryError."""

    def allocate_pinned(self, nbytes: int) -> PinnedMemory:
        """Raises OutOfMemoryError."""

    def stream(self) -> Stream:
        """A stream of its own, which does not wait for the default one."""

    def close(self) -> None:
        """Release the context, which goes on for whoever else uses it."""


def missing() -> str | None:
    """Why there is no GPU to be used here, in one sentence; None if there is.

    Safe on any machine, while TensorRT ends the process where there is no driver.
    """
    try:
        _driver().device_count()
    except BackendError as error:
        return str(error)
    return None


def device_names() -> tuple[str, ...]:
    """ "cuda:0", "cuda:1" and so on; BackendError with the reason where there is none."""
    return tuple(f"cuda:{ordinal}" for ordinal in range(_driver().device_count()))


def open_device(name: str) -> Device:
    """The GPU of that name; BackendError where there is none."""
    names = device_names()
    if name not in names:
        raise BackendError(f"device {name} is not there: this machine has {', '.join(names)}")
    device: Device = _driver().CudaDevice(names.index(name))
    return device


def not_enough(device: str, wanted: int, free: int) -> OutOfMemoryError:
    """What an allocation raises that does not fit; sizes in bytes."""
    return OutOfMemoryError(
        f"{device}: not enough memory for {wanted / 1e6:.0f} MB more, {free / 1e6:.0f} MB are free"
    )


def _driver() -> ModuleType:
    """The module that talks to CUDA; BackendError where none can."""
    try:
        from sr_runtime.backends.cuda import pycuda as cuda_pycuda
    except ImportError:  # not installed, or without the driver's library: cuda.bindings says which
        from sr_runtime.backends.cuda import bindings as cuda_bindings

        return cuda_bindings
    return cuda_pycuda
