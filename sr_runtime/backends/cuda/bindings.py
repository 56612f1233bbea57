"""`memory.Device` over NVIDIA's cuda.bindings: the driver API."""

import contextlib
import ctypes
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends.cuda.memory import NO_GPU, OTHER_DRIVER, UNKNOWN_CODE, not_enough
from sr_runtime.errors import BackendError, OutOfMemoryError

__all__ = ["CudaDevice", "cuda_version", "device_count", "device_facts"]

REASONS = {
    "CUDA_ERROR_NO_DEVICE": NO_GPU,
    "CUDA_ERROR_STUB_LIBRARY": NO_GPU,
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": OTHER_DRIVER,
    "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE": OTHER_DRIVER,
    "CUDA_ERROR_INVALID_PTX": UNKNOWN_CODE,
    "CUDA_ERROR_UNSUPPORTED_PTX_VERSION": UNKNOWN_CODE,
    "CUDA_ERROR_JIT_COMPILER_NOT_FOUND": UNKNOWN_CODE,
}


def device_count() -> int:
    """The number of GPUs, at least 1; BackendError with the reason if none can be used."""
    _call("cuInit", 0)
    return int(_call("cuDeviceGetCount"))


def cuda_version() -> tuple[int, int]:
    """The latest CUDA that the driver knows, (13, 0) for instance."""
    return divmod(int(_call("cuDriverGetVersion")) // 10, 100)


def device_facts(ordinal: int) -> tuple[str, str]:
    """Name and compute capability, without a context, which would take memory."""
    device = _call("cuDeviceGet", ordinal)
    name: bytes = _call("cuDeviceGetName", 256, device)
    kinds = _cuda().CUdevice_attribute
    major, minor = (
        int(_call("cuDeviceGetAttribute", kind, device))
        for kind in (
            kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            kinds.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        )
    )
    return name.split(b"\0")[0].decode(), f"{major}.{minor}"


class CudaDevice:
    """A device and its retained primary context."""

    def __init__(self, ordinal: int) -> None:
        self._label = f"cuda:{ordinal}"
        self.name, self.compute_capability = device_facts(ordinal)
        self._device = _call("cuDeviceGet", ordinal)
        self._context = _call("cuDevicePrimaryCtxRetain", self._device)

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        _call("cuCtxPushCurrent", self._context)
        try:
            yield
        finally:
            _call("cuCtxPopCurrent")

    def free_memory(self) -> int:
        free, _ = _call("cuMemGetInfo")
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
        _call("cuDevicePrimaryCtxRelease", self._device)


class _DeviceMemory:
    def __init__(self, nbytes: int) -> None:
        self._pointer = _call("cuMemAlloc", nbytes)
        self.address = int(self._pointer)
        self.nbytes = nbytes

    def free(self) -> None:
        _call("cuMemFree", self._pointer)


class _PinnedMemory:
    def __init__(self, nbytes: int) -> None:
        self.address = int(_call("cuMemHostAlloc", nbytes, 0))
        memory = (ctypes.c_uint8 * nbytes).from_address(self.address)
        self.array: NDArray[np.uint8] = np.ctypeslib.as_array(memory)

    def free(self) -> None:
        _call("cuMemFreeHost", self.address)


class _Graph:
    def __init__(self, graph: Any, stream: "_Stream") -> None:
        self._executable = _call("cuGraphInstantiate", graph, 0)
        self._stream = stream

    def launch(self) -> None:
        _call("cuGraphLaunch", self._executable, self._stream.handle)

    def close(self) -> None:
        _call("cuGraphExecDestroy", self._executable)


class _Stream:
    """A stream, and an event to wait for it: that sleeps, while waiting for a stream polls."""

    def __init__(self) -> None:
        cuda = _cuda()
        self._stream = _call("cuStreamCreate", cuda.CUstream_flags.CU_STREAM_NON_BLOCKING.value)
        self.handle = int(self._stream)
        flags = cuda.CUevent_flags
        self._event = _call(
            "cuEventCreate",
            flags.CU_EVENT_BLOCKING_SYNC.value | flags.CU_EVENT_DISABLE_TIMING.value,
        )

    def upload(self, target: _DeviceMemory, source: _PinnedMemory, nbytes: int) -> None:
        _call("cuMemcpyHtoDAsync", target.address, source.address, nbytes, self._stream)

    def download(self, target: _PinnedMemory, source: _DeviceMemory, nbytes: int) -> None:
        _call("cuMemcpyDtoHAsync", target.address, source.address, nbytes, self._stream)

    def wait(self) -> None:
        _call("cuEventRecord", self._event, self._stream)
        _call("cuEventSynchronize", self._event)

    def begin_capture(self) -> bool:
        # Only this thread's calls count: others, torch for instance, may allocate meanwhile.
        mode = _cuda().CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        try:
            _call("cuStreamBeginCapture", self._stream, mode)
        except BackendError:
            return False
        return True

    def end_capture(self) -> _Graph | None:
        graph = None
        try:
            graph = _call("cuStreamEndCapture", self._stream)
            return _Graph(graph, self)
        except (BackendError, OutOfMemoryError):
            return None
        finally:
            if graph is not None:
                _call("cuGraphDestroy", graph)

    def close(self) -> None:
        _call("cuEventDestroy", self._event)
        _call("cuStreamDestroy", self._stream)


class _Kernels:
    def __init__(self, ptx: bytes, names: Sequence[str]) -> None:
        self._module = _call("cuModuleLoadData", ptx + b"\0")
        self._functions = {
            name: _call("cuModuleGetFunction", self._module, name.encode()) for name in names
        }

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
        types = (ctypes.c_void_p,) * len(addresses) + (ctypes.c_int,) * len(numbers)
        parameters = (*addresses, *numbers), types
        grid, block, shared = (*blocks, 1), (threads, 1, 1), 0
        function = self._functions[name]
        _call("cuLaunchKernel", function, *grid, *block, shared, stream.handle, parameters, 0)

    def close(self) -> None:
        _call("cuModuleUnload", self._module)


def _cuda() -> Any:
    """The module `cuda.bindings.driver`; BackendError if it is not installed."""
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise BackendError(
            f"cuda.bindings cannot be imported ({error}): pip install cuda-python, which the "
            "extras gpu, tensorrt and rtx have, or pycuda"
        ) from error
    return driver


def _call(name: str, *arguments: object) -> Any:
    """Call a function of the driver; return its result, or a tuple if it has several."""
    cuda = _cuda()
    try:
        status, *results = getattr(cuda, name)(*arguments)
    except RuntimeError as error:  # from the bindings: a library or function is missing
        if name != "cuInit":
            raise BackendError(f"CUDA failed in {name} ({error}): update the driver") from error
        raise BackendError(
            "there is no NVIDIA driver: install the driver for your GPU, and start a container "
            "with `--gpus all`"
        ) from error
    codes = cuda.CUresult
    if status == codes.CUDA_SUCCESS:
        return results[0] if len(results) == 1 else tuple(results)
    if status == codes.CUDA_ERROR_OUT_OF_MEMORY:
        raise OutOfMemoryError(f"CUDA does not have enough memory ({name})")
    code = codes(status).name
    raise BackendError(REASONS.get(code, f"CUDA failed: {code} in {name}"))
