"""`memory.Device` over PyCUDA, which has no CUDA graphs."""

import contextlib
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pycuda.driver as cuda
from numpy.typing import NDArray

from sr_runtime.backends.cuda.memory import NO_GPU, OTHER_DRIVER, UNKNOWN_CODE, not_enough
from sr_runtime.errors import BackendError, OutOfMemoryError

__all__ = ["CudaDevice", "cuda_version", "device_count", "device_facts"]

# By the driver's words, because PyCUDA passes no codes on.
REASONS = {
    "no CUDA-capable device": NO_GPU,
    "unsupported display driver": OTHER_DRIVER,
    "forward compatibility": OTHER_DRIVER,
    "unsupported toolchain": UNKNOWN_CODE,
    "PTX JIT compil": UNKNOWN_CODE,
}


def device_count() -> int:
    """The number of GPUs, at least 1; BackendError with the reason if none can be used."""
    with _translated_errors():
        cuda.init()
        return int(cuda.Device.count())


def cuda_version() -> tuple[int, int]:
    """The latest CUDA that the driver knows, (13, 0) for instance."""
    with _translated_errors():
        return divmod(int(cuda.get_driver_version()) // 10, 100)


def device_facts(ordinal: int) -> tuple[str, str]:
    """Name and compute capability, without a context, which would take memory."""
    with _translated_errors():
        device = cuda.Device(ordinal)
        return str(device.name()), "{}.{}".format(*device.compute_capability())


class CudaDevice:
    """A device and its retained primary context."""

    def __init__(self, ordinal: int) -> None:
        self._label = f"cuda:{ordinal}"
        self.name, self.compute_capability = device_facts(ordinal)
        self._context = _primary_context(ordinal)

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        with _translated_errors():
            self._context.push()
        try:
            yield
        finally:
            cuda.Context.pop()

    def free_memory(self) -> int:
        with _translated_errors():
            free, _ = cuda.mem_get_info()
            return int(free)

    def allocate(self, nbytes: int) -> "_DeviceMemory":
        try:
            return _DeviceMemory(nbytes)
        except OutOfMemoryError as error:
            raise not_enough(self._label, nbytes, self.free_memory()) from error

    def allocate_pinned(self, nbytes: int) -> "_PinnedMemory":
        return _PinnedMemory(nbytes)

    def stream(self) -> "_Stream":
        return _Stream()

    def load_kernels(self, ptx: bytes, names: Sequence[str]) -> "_Kernels":
        return _Kernels(ptx, names)

    def close(self) -> None:
        """Keep the context for the next device that is opened."""


@functools.cache
def _primary_context(ordinal: int) -> Any:
    """Retain the context once, for as long as the process runs.

    PyCUDA's `detach` would leave it current in the calling thread, and does nothing in any thread
    but the one that retained it.
    """
    with _translated_errors():
        return cuda.Device(ordinal).retain_primary_context()


class _DeviceMemory:
    def __init__(self, nbytes: int) -> None:
        with _translated_errors():
            self._allocation = cuda.mem_alloc(nbytes)
        self.address = int(self._allocation)
        self.nbytes = nbytes

    def free(self) -> None:
        with _translated_errors():
            self._allocation.free()


class _PinnedMemory:
    def __init__(self, nbytes: int) -> None:
        with _translated_errors():
            self.array: NDArray[np.uint8] = cuda.pagelocked_empty(nbytes, np.uint8)

    def free(self) -> None:
        with _translated_errors():
            base: Any = self.array.base
            base.free()


class _Stream:
    """A stream, and an event to wait for it: that sleeps, while waiting for a stream polls."""

    def __init__(self) -> None:
        with _translated_errors():
            # 1 is CU_STREAM_NON_BLOCKING, for which PyCUDA has no name.
            self._stream: Any = cuda.Stream(1)
            flags = cuda.event_flags
            self._event: Any = cuda.Event(flags.BLOCKING_SYNC | flags.DISABLE_TIMING)
        self.handle = int(self._stream.handle)

    def upload(self, target: _DeviceMemory, source: _PinnedMemory, nbytes: int) -> None:
        with _translated_errors():
            cuda.memcpy_htod_async(target.address, source.array[:nbytes], self._stream)

    def download(self, target: _PinnedMemory, source: _DeviceMemory, nbytes: int) -> None:
        with _translated_errors():
            cuda.memcpy_dtoh_async(target.array[:nbytes], source.address, self._stream)

    def wait(self) -> None:
        with _translated_errors():
            self._event.record(self._stream)
            self._event.synchronize()

    def begin_capture(self) -> bool:
        return False

    def end_capture(self) -> None:
        return None

    def close(self) -> None:
        del self._event, self._stream  # their destructors free them


class _Kernels:
    def __init__(self, ptx: bytes, names: Sequence[str]) -> None:
        with _translated_errors():
            self._module: Any = cuda.module_from_buffer(ptx + b"\0")
            self._functions = {name: self._module.get_function(name) for name in names}

    def launch(
        self,
        name: str,
        stream: _Stream,
        *,
        blocks: tuple[int, int],
        threads: int,
        addresses: Sequence[int],
        numbers: Sequence[int],
    ) -> None:
        block = (threads, 1, 1)
        with _translated_errors():
            function = self._functions[name].prepare("P" * len(addresses) + "i" * len(numbers))
            function.prepared_async_call(blocks, block, stream._stream, *addresses, *numbers)

    def close(self) -> None:
        del self._functions, self._module  # their destructor unloads it


@contextlib.contextmanager
def _translated_errors() -> Iterator[None]:
    """Raise PyCUDA's exceptions as ours."""
    try:
        yield
    except cuda.MemoryError as error:
        raise OutOfMemoryError(f"CUDA does not have enough memory ({error})") from error
    except cuda.Error as error:
        reasons = [reason for words, reason in REASONS.items() if words in str(error)]
        raise BackendError(reasons[0] if reasons else f"CUDA failed: {error}") from error
