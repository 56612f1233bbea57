# ruff: noqa: N802 - the names are the driver's
"""The CUDA driver API as cuda.bindings has it, over a simulated machine."""

import ctypes
import enum
import re
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from tests.simulated_tensorrt.kernels import KERNELS
from tests.simulated_tensorrt.machine import (
    CudaError,
    CUresult,
    Gpu,
    Machine,
    ProcessWouldEnd,
    Stream,
)

__all__ = ["driver_module"]


class CUdevice_attribute(enum.IntEnum):  # noqa: N801 - the driver's names
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76


class CUstream_flags(enum.IntEnum):  # noqa: N801
    CU_STREAM_DEFAULT = 0
    CU_STREAM_NON_BLOCKING = 1


class CUevent_flags(enum.IntEnum):  # noqa: N801
    CU_EVENT_DEFAULT = 0
    CU_EVENT_BLOCKING_SYNC = 1
    CU_EVENT_DISABLE_TIMING = 2


class CUstreamCaptureMode(enum.IntEnum):
    CU_STREAM_CAPTURE_MODE_GLOBAL = 0
    CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1
    CU_STREAM_CAPTURE_MODE_RELAXED = 2


class DynamicLibNotFoundError(RuntimeError):
    """What the bindings raise without a driver."""


def driver_module(machine: Machine) -> ModuleType:
    """What `from cuda.bindings import driver` gives."""
    module = ModuleType("cuda.bindings.driver")
    kinds = (CUresult, CUdevice_attribute, CUstream_flags, CUevent_flags, CUstreamCaptureMode)
    for kind in kinds:
        setattr(module, kind.__name__, kind)
    api = _Driver(machine)
    for name in dir(api):
        if name.startswith("cu"):
            setattr(module, name, _answering(machine, name, getattr(api, name)))
    return module


def _answering(machine: Machine, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the bindings' way to answer: a tuple of the result and what it returns."""

    def call(*arguments: Any) -> tuple[Any, ...]:
        if not machine.driver:
            raise DynamicLibNotFoundError('"cuda" is an NVIDIA driver library')
        if name in machine.refuses:
            return (machine.refuses[name], None)
        if name not in ("cuInit", "cuDriverGetVersion") and not machine.initialised:
            return (CUresult.CUDA_ERROR_NOT_INITIALIZED, None)
        try:
            result = function(*arguments)
        except CudaError as error:
            return (error.code, None)
        if result is None:
            return (CUresult.CUDA_SUCCESS,)
        return (CUresult.CUDA_SUCCESS, *(result if isinstance(result, tuple) else (result,)))

    return call


class _Driver:
    """The functions; each raises CudaError where the driver answers with one."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._recorded: dict[int, tuple[Stream, int]] = {}

    def _gpu(self, *, in_capture: bool = False) -> Gpu:
        """The current one; what must not happen during a capture spoils it."""
        gpu = self._machine.current
        if gpu is None:
            raise CudaError(CUresult.CUDA_ERROR_INVALID_CONTEXT)
        if not in_capture:
            for stream in gpu.streams.values():
                if stream.capture is not None and stream.capturing_thread in (
                    None,
                    threading.get_ident(),
                ):
                    stream.capture_valid = False
                    raise CudaError(CUresult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)
        return gpu

    def _stream(self, handle: Any) -> Stream:
        stream = self._gpu(in_capture=True).streams.get(int(handle))
        if stream is None:
            raise CudaError(CUresult.CUDA_ERROR_INVALID_HANDLE)
        return stream

    def cuInit(self, flags: int) -> None:
        if not self._machine.gpus:
            raise CudaError(CUresult.CUDA_ERROR_NO_DEVICE)
        self._machine.initialised = True

    def cuDriverGetVersion(self) -> int:
        return self._machine.cuda

    def cuDeviceGetCount(self) -> int:
        return len(self._machine.gpus)

    def cuDeviceGet(self, ordinal: int) -> int:
        if not 0 <= ordinal < len(self._machine.gpus):
            raise CudaError(CUresult.CUDA_ERROR_INVALID_DEVICE)
        return ordinal

    def cuDeviceGetName(self, length: int, device: int) -> bytes:
        return self._machine.gpus[device].name.encode().ljust(length, b"\0")

    def cuDeviceGetAttribute(self, attribute: CUdevice_attribute, device: int) -> int:
        capability = self._machine.gpus[device].compute_capability
        return capability[attribute - min(CUdevice_attribute)]

    def cuDevicePrimaryCtxRetain(self, device: int) -> Gpu:
        self._machine.gpus[device].retained += 1
        return self._machine.gpus[device]

    def cuDevicePrimaryCtxRelease(self, device: int) -> None:
        gpu = self._machine.gpus[device]
        if gpu.retained == 0:
            raise CudaError(CUresult.CUDA_ERROR_INVALID_CONTEXT)
        gpu.retained -= 1
        if gpu.building and not gpu.retained:
            raise ProcessWouldEnd("a context was released in which an engine is being built")

    def cuCtxPushCurrent(self, context: Gpu) -> None:
        if context.retained == 0:
            raise CudaError(CUresult.CUDA_ERROR_INVALID_CONTEXT)
        self._machine.stack.append(context)

    def cuCtxPopCurrent(self) -> Gpu:
        if not self._machine.stack:
            raise CudaError(CUresult.CUDA_ERROR_INVALID_CONTEXT)
        return self._machine.stack.pop()

    def cuMemGetInfo(self) -> tuple[int, int]:
        gpu = self._gpu()
        return gpu.free, gpu.total

    def cuMemAlloc(self, nbytes: int) -> int:
        return self._gpu().allocate(nbytes)

    def cuMemFree(self, address: int) -> None:
        if self._gpu().device_memory.pop(int(address), None) is None:
            raise CudaError(CUresult.CUDA_ERROR_INVALID_VALUE)

    def cuMemHostAlloc(self, nbytes: int, flags: int) -> int:
        gpu = self._gpu()
        memory = (ctypes.c_uint8 * nbytes)()
        gpu.pinned[ctypes.addressof(memory)] = memory
        return ctypes.addressof(memory)

    def cuMemFreeHost(self, address: int) -> None:
        if self._gpu().pinned.pop(address, None) is None:
            raise CudaError(CUresult.CUDA_ERROR_INVALID_VALUE)

    def cuStreamCreate(self, flags: int) -> int:
        gpu, handle = self._gpu(), next(self._machine.handles)
        gpu.streams[handle] = Stream(handle, gpu)
        return handle

    def cuStreamDestroy(self, handle: Any) -> None:
        if self._stream(handle).queue:
            raise ProcessWouldEnd("a stream was destroyed with work on freed memory")
        del self._gpu().streams[int(handle)]

    def cuEventCreate(self, flags: int) -> int:
        handle: int = next(self._machine.handles)
        self._gpu().events.add(handle)
        return handle

    def cuEventDestroy(self, event: int) -> None:
        self._gpu().events.remove(event)

    def cuEventRecord(self, event: int, handle: Any) -> None:
        if event not in self._gpu().events:
            raise CudaError(CUresult.CUDA_ERROR_INVALID_HANDLE)
        stream = self._stream(handle)
        self._recorded[event] = stream, stream.end

    def cuEventSynchronize(self, event: int) -> None:
        if event not in self._gpu().events:
            raise CudaError(CUresult.CUDA_ERROR_INVALID_HANDLE)
        stream, end = self._recorded[event]
        stream.drain(end)

    def cuMemcpyHtoDAsync(self, target: int, source: int, nbytes: int, stream: Any) -> None:
        gpu = self._gpu(in_capture=True)

        def copy() -> None:
            gpu.memory_at(int(target), nbytes)[:] = gpu.pinned_at(source, nbytes)

        gpu.memory_at(int(target), nbytes)
        gpu.pinned_at(source, nbytes)
        self._stream(stream).put(copy)

    def cuMemcpyDtoHAsync(self, target: int, source: int, nbytes: int, stream: Any) -> None:
        gpu = self._gpu(in_capture=True)

        def copy() -> None:
            gpu.pinned_at(target, nbytes)[:] = gpu.memory_at(int(source), nbytes)

        gpu.memory_at(int(source), nbytes)
        gpu.pinned_at(target, nbytes)
        self._stream(stream).put(copy)

    def cuModuleLoadData(self, image: bytes) -> int:
        gpu, handle = self._gpu(), next(self._machine.handles)
        if not image.endswith(b"\0"):
            raise ProcessWouldEnd("the driver reads on behind the code")
        names = re.findall(r"\.entry (\w+)", image.decode("ascii"))
        if not names:
            raise CudaError(CUresult.CUDA_ERROR_INVALID_PTX)
        gpu.modules[handle] = frozenset(names)
        return int(handle)

    def cuModuleGetFunction(self, module: int, name: bytes) -> str:
        if name.decode() not in self._gpu().modules[module]:
            raise CudaError(CUresult.CUDA_ERROR_NOT_FOUND)
        return f"{module} {name.decode()}"

    def cuModuleUnload(self, module: int) -> None:
        gpu = self._gpu()
        if any(stream.queue for stream in gpu.streams.values()):
            raise ProcessWouldEnd("kernels were unloaded that may be queued")
        del gpu.modules[module]

    def cuLaunchKernel(self, function: str, *arguments: Any) -> None:
        *sizes, shared, stream, (values, types), extra = arguments
        (blocks, images, depth), threads = sizes[:3], sizes[3:]
        gpu, area = self._gpu(in_capture=True), values[3]
        module, name = function.split()
        if (
            name not in gpu.modules[int(module)]
            or types != (ctypes.c_void_p,) * 3 + (ctypes.c_int,) * 5
            or (blocks - 1) * threads[0] >= area
            or blocks * threads[0] < area
            or (depth, *threads[1:], shared, extra) != (1, 1, 1, 0, 0)
        ):
            raise CudaError(CUresult.CUDA_ERROR_INVALID_VALUE)
        self._stream(stream).put(lambda: KERNELS[name](gpu, images, *values))

    def cuStreamBeginCapture(self, handle: Any, mode: CUstreamCaptureMode) -> None:
        stream = self._stream(handle)
        if stream.capture is not None or not isinstance(mode, CUstreamCaptureMode):
            raise CudaError(CUresult.CUDA_ERROR_INVALID_VALUE)
        stream.capture, stream.capture_valid = [], not stream.gpu.capturing_fails
        local = mode != CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_GLOBAL
        stream.capturing_thread = threading.get_ident() if local else None

    def cuStreamEndCapture(self, handle: Any) -> int:
        stream = self._stream(handle)
        work, stream.capture = stream.capture, None
        if work is None:
            raise CudaError(CUresult.CUDA_ERROR_INVALID_VALUE)
        if not stream.capture_valid:
            raise CudaError(CUresult.CUDA_ERROR_STREAM_CAPTURE_INVALIDATED)
        graph: int = next(self._machine.handles)
        stream.gpu.graphs[graph] = work
        return graph

    def cuGraphInstantiate(self, graph: int, flags: int) -> int:
        gpu, executable = self._gpu(), next(self._machine.handles)
        gpu.executables[executable] = gpu.graphs[graph]
        return int(executable)

    def cuGraphLaunch(self, executable: int, handle: Any) -> None:
        stream = self._stream(handle)
        for work in self._gpu().executables[executable]:
            stream.put(work)
        stream.gpu.launches += 1

    def cuGraphDestroy(self, graph: int) -> None:
        del self._gpu().graphs[graph]

    def cuGraphExecDestroy(self, executable: int) -> None:
        del self._gpu().executables[executable]
