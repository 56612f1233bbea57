"""The CUDA that backends use: memory, streams, graphs and kernels, and a tensor's buffers.

`bindings.py` and `pycuda.py` implement it, and `driver.py` chooses between them. Everything happens
in the device's primary context, the one that torch, onnxruntime and TensorRT use too, so that all
of them can live in one process.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sr_runtime.errors import OutOfMemoryError

__all__ = [
    "NO_GPU",
    "OTHER_DRIVER",
    "UNKNOWN_CODE",
    "Device",
    "DeviceMemory",
    "Graph",
    "Kernels",
    "PinnedMemory",
    "Stream",
    "TensorMemory",
    "not_enough",
]

# What went wrong and what to do, where the driver gives only a name or half a sentence.
NO_GPU = "CUDA finds no GPU: check CUDA_VISIBLE_DEVICES and nvidia-smi"
OTHER_DRIVER = (
    "libcuda and the NVIDIA kernel driver do not fit together: restart the machine if the driver "
    "was updated, and take CUDA's folder `compat` out of LD_LIBRARY_PATH"
)
UNKNOWN_CODE = (
    "the NVIDIA driver cannot translate the kernels that convert pixels for this GPU: install a "
    "current driver with all its libraries, among them libnvidia-ptxjitcompiler"
)


class DeviceMemory(Protocol):
    """GPU memory, aligned to 256 bytes."""

    address: int
    nbytes: int

    def free(self) -> None: ...


class PinnedMemory(Protocol):
    """Page-locked host memory: copies from and to it overlap with computation."""

    array: NDArray[np.uint8]
    """All of its bytes; invalid after `free`."""

    def free(self) -> None: ...


class Graph(Protocol):
    """Work that was captured on a stream, to be launched with one call."""

    def launch(self) -> None:
        """Queue it on the stream that it was captured on."""

    def close(self) -> None: ...


class Stream(Protocol):
    """A queue of work: done in order, and beside the work of other streams."""

    handle: int

    def upload(self, target: DeviceMemory, source: PinnedMemory, nbytes: int) -> None:
        """Queue a copy of the first `nbytes`."""

    def download(self, target: PinnedMemory, source: DeviceMemory, nbytes: int) -> None:
        """Queue a copy of the first `nbytes`."""

    def wait(self) -> None:
        """Sleep until the queue is done; BackendError if something in it failed."""

    def begin_capture(self) -> bool:
        """Record the work queued from now on instead of doing it; False if that cannot be done."""

    def end_capture(self) -> Graph | None:
        """What was recorded; None if something that was queued cannot be recorded."""

    def close(self) -> None: ...


class Kernels(Protocol):
    """Functions that were loaded onto a device."""

    def launch(
        self,
        name: str,
        stream: Stream,
        *,
        blocks: tuple[int, int],
        threads: int,
        addresses: Sequence[int],
        numbers: Sequence[int],
    ) -> None:
        """Queue a kernel whose parameters are pointers, then ints."""

    def close(self) -> None: ...


class Device(Protocol):
    """One GPU. Call everything but `current` and `close` inside `with device.current():`."""

    name: str
    compute_capability: str
    """"9.0" for instance."""

    def current(self) -> AbstractContextManager[None]:
        """Make its context current in the calling thread; restore the previous one at the end."""

    def free_memory(self) -> int:
        """Bytes that are free."""

    def allocate(self, nbytes: int) -> DeviceMemory:
        """Raises OutOfMemoryError."""

    def allocate_pinned(self, nbytes: int) -> PinnedMemory:
        """Raises OutOfMemoryError."""

    def stream(self) -> Stream:
        """A new stream that does not wait for the default stream."""

    def load_kernels(self, ptx: bytes, names: Sequence[str]) -> Kernels:
        """Load these kernels; BackendError if the driver cannot translate them for the GPU."""

    def close(self) -> None:
        """Release the context; others in the process keep theirs."""


def not_enough(device: str, wanted: int, free: int) -> OutOfMemoryError:
    """The error for an allocation that does not fit; sizes in bytes."""
    return OutOfMemoryError(
        f"{device}: not enough memory for {wanted / 1e6:.0f} MB more, {free / 1e6:.0f} MB are free"
    )


class TensorMemory:
    """Host and device memory of one input or output of a model, as large as its largest shape."""

    dtype: np.dtype[Any]
    """May be changed; the next `reserve` uses it."""
    shape: tuple[int, ...]
    """What was reserved last."""
    array: NDArray[Any]
    """The host memory, in that shape; a view."""
    address: int
    """Where the device memory begins."""

    def __init__(self, name: str, dtype: DTypeLike, gpu: Device) -> None:
        self.name, self.dtype = name, np.dtype(dtype)
        self._gpu = gpu
        self._device: DeviceMemory | None = None
        self._pinned: PinnedMemory | None = None

    def reserve(self, shape: tuple[int, ...], *, on_host: bool = True) -> None:
        """Prepare for a tensor of this shape; `array` is there only `on_host`.

        Memory that is large enough stays where it is. Raises OutOfMemoryError.
        """
        needed = int(np.prod(shape)) * self.dtype.itemsize
        if self._device is None or self._device.nbytes < needed:
            self.free()
            self._device = self._gpu.allocate(needed)
        if on_host:
            if self._pinned is None or len(self._pinned.array) < needed:
                self._free_pinned()
                self._pinned = self._gpu.allocate_pinned(needed)
            self.array = self._pinned.array[:needed].view(self.dtype).reshape(shape)
        self.address, self.shape = self._device.address, shape

    def upload(self, stream: Stream) -> None:
        """Queue the copy of `array` to the device."""
        assert self._device is not None
        assert self._pinned is not None
        stream.upload(self._device, self._pinned, self.array.nbytes)

    def download(self, stream: Stream) -> None:
        """Queue the copy from the device to `array`."""
        assert self._device is not None
        assert self._pinned is not None
        stream.download(self._pinned, self._device, self.array.nbytes)

    def free(self) -> None:
        """Free both until the next `reserve`."""
        device, self._device = self._device, None
        if device is not None:
            device.free()
        self._free_pinned()

    def _free_pinned(self) -> None:
        pinned, self._pinned = self._pinned, None
        if pinned is not None:
            pinned.free()
