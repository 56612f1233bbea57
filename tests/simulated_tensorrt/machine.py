"""A machine's GPUs, whose memory is the host's, and what is alive on them.

What is queued on a stream is done as late as CUDA may do it, when it is waited for: whoever reads a
buffer too early, or overwrites one too soon, gets wrong pictures.
"""

import enum
import itertools
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends.tensorrt.options import Kind

__all__ = ["CUresult", "CudaError", "Gpu", "Machine", "ProcessWouldEnd", "Stream"]


class ProcessWouldEnd(BaseException):
    """The real thing would have crashed; not an Exception, so that nothing swallows it."""


class CUresult(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NOT_INITIALIZED = 3
    CUDA_ERROR_STUB_LIBRARY = 34
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_INVALID_DEVICE = 101
    CUDA_ERROR_INVALID_CONTEXT = 201
    CUDA_ERROR_NO_BINARY_FOR_GPU = 209
    CUDA_ERROR_INVALID_PTX = 218
    CUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222
    CUDA_ERROR_INVALID_HANDLE = 400
    CUDA_ERROR_NOT_FOUND = 500
    CUDA_ERROR_ILLEGAL_ADDRESS = 700
    CUDA_ERROR_SYSTEM_DRIVER_MISMATCH = 803
    CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE = 804
    CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900
    CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901


class CudaError(Exception):
    """Carries a CUresult to the caller of the API."""

    def __init__(self, code: CUresult) -> None:
        super().__init__(code.name)
        self.code = code


@dataclass
class Stream:
    """Work that is queued, or recorded while a graph is captured."""

    handle: int
    gpu: "Gpu"
    queue: list[Callable[[], None]] = field(default_factory=list)
    capture: list[Callable[[], None]] | None = None
    capture_valid: bool = True
    capturing_thread: int | None = None
    """The only one whose calls spoil the capture; None: all threads' do."""
    done: int = 0

    def put(self, work: Callable[[], None]) -> None:
        (self.queue if self.capture is None else self.capture).append(work)

    @property
    def end(self) -> int:
        """How much is done once all is that is queued now."""
        return self.done + len(self.queue)

    def drain(self, end: int) -> None:
        while self.done < end:
            self.done += 1
            self.queue.pop(0)()


@dataclass
class Gpu:
    """Its memory, and what is alive on it."""

    name: str = "Simulated GPU"
    compute_capability: tuple[int, int] = (9, 0)
    total: int = 1 << 30
    retained: int = 0
    device_memory: dict[int, NDArray[np.uint8]] = field(default_factory=dict)
    pinned: dict[int, Any] = field(default_factory=dict)
    streams: dict[int, Stream] = field(default_factory=dict)
    events: set[int] = field(default_factory=set)
    graphs: dict[int, list[Callable[[], None]]] = field(default_factory=dict)
    executables: dict[int, list[Callable[[], None]]] = field(default_factory=dict)
    modules: dict[int, frozenset[str]] = field(default_factory=dict)
    """The names of the kernels in each."""
    builders: Any = field(default_factory=weakref.WeakSet)
    """Those of TensorRT that were made on it."""
    building: bool = False
    """One of them is at work."""
    launches: int = 0
    """How often a captured graph was launched."""
    capturing_fails: bool = False
    at_work: Callable[[], None] = lambda: None
    """Called whenever an engine computes on it."""

    @property
    def free(self) -> int:
        # A copy: other threads may allocate meanwhile.
        return self.total - sum(len(memory) for memory in list(self.device_memory.values()))

    @property
    def is_clean(self) -> bool:
        """Nothing is left on it, and nobody holds its context."""
        return self.is_empty and not self.retained

    @property
    def is_empty(self) -> bool:
        """Nothing is left on it."""
        held = (self.device_memory, self.pinned, self.streams, self.events, [*self.builders])
        return not (any(held) or self.graphs or self.executables or self.modules)

    def allocate(self, nbytes: int) -> int:
        if nbytes <= 0:
            raise CudaError(CUresult.CUDA_ERROR_INVALID_VALUE)
        if nbytes > self.free:
            raise CudaError(CUresult.CUDA_ERROR_OUT_OF_MEMORY)
        memory = np.full(nbytes, 0xA5, np.uint8)  # not zeros: nobody may rely on them
        self.device_memory[memory.ctypes.data] = memory
        return memory.ctypes.data

    def memory_at(self, address: int, nbytes: int) -> NDArray[np.uint8]:
        memory = self.device_memory.get(address)
        if memory is None or len(memory) < nbytes:
            raise CudaError(CUresult.CUDA_ERROR_ILLEGAL_ADDRESS)
        return memory[:nbytes]

    def pinned_at(self, address: int, nbytes: int) -> NDArray[np.uint8]:
        memory = self.pinned.get(address)
        if memory is None or len(memory) < nbytes:
            raise CudaError(CUresult.CUDA_ERROR_INVALID_VALUE)
        return np.ctypeslib.as_array(memory)[:nbytes]


@dataclass
class Machine:
    """The GPUs, and the context stack of each thread."""

    gpus: list[Gpu]
    driver: bool = True
    cuda: int = 13000
    """The latest version that the driver knows."""
    refuses: dict[str, CUresult] = field(default_factory=dict)
    """Functions of the driver that fail, and how."""
    initialised: bool = False
    library: Any = None
    """The simulated TensorRT of this machine; where it has none, TensorRT for RTX."""
    rtx: Any = None
    """The simulated TensorRT for RTX."""
    handles: Any = field(default_factory=lambda: itertools.count(0x1000))
    _stacks: Any = field(default_factory=threading.local)

    @property
    def kind(self) -> Kind:
        """What `library` is."""
        return "tensorrt-rtx" if self.library is self.rtx else "tensorrt"

    @property
    def stack(self) -> list[Gpu]:
        if not hasattr(self._stacks, "gpus"):
            self._stacks.gpus = []
        stack: list[Gpu] = self._stacks.gpus
        return stack

    @property
    def current(self) -> Gpu | None:
        return self.stack[-1] if self.stack else None

    @property
    def gpu(self) -> Gpu:
        """The first one."""
        return self.gpus[0]
