"""`pycuda.driver`, over the simulated driver API."""

import ctypes
import enum
import struct
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.simulated_tensorrt.machine import CUresult, Machine

__all__ = ["pycuda_module"]


# What the driver says of its codes.
WORDS = {
    CUresult.CUDA_ERROR_NO_DEVICE: "no CUDA-capable device is detected",
    CUresult.CUDA_ERROR_INVALID_PTX: "a PTX JIT compilation failed",
    CUresult.CUDA_ERROR_UNSUPPORTED_PTX_VERSION: "the provided PTX was compiled with an "
    "unsupported toolchain.",
    CUresult.CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: "system has unsupported display driver / cuda "
    "driver combination",
    CUresult.CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE: "forward compatibility was attempted on "
    "non supported HW",
}


class Error(Exception):
    pass


class MemoryError(Error):
    pass


class LogicError(Error):
    pass


class EventFlags(enum.IntEnum):
    DEFAULT = 0
    BLOCKING_SYNC = 1
    DISABLE_TIMING = 2


def pycuda_module(machine: Machine, driver: ModuleType) -> ModuleType:
    """What `import pycuda.driver` gives."""

    def call(name: str, *arguments: Any) -> Any:
        status, *results = getattr(driver, name)(*arguments)
        if status == CUresult.CUDA_ERROR_OUT_OF_MEMORY:
            raise MemoryError(f"{name} failed: out of memory")
        if status != CUresult.CUDA_SUCCESS:
            raise LogicError(f"{name} failed: {WORDS.get(status, status.name)}")
        return results[0] if len(results) == 1 else tuple(results)

    class Context:
        def __init__(self, ordinal: int) -> None:
            self._ordinal, self._gpu = ordinal, call("cuDevicePrimaryCtxRetain", ordinal)

        def push(self) -> None:
            call("cuCtxPushCurrent", self._gpu)

        @staticmethod
        def pop() -> None:
            call("cuCtxPopCurrent")

        def detach(self) -> None:
            self.push()  # and nothing pops it, where the context is a primary one
            call("cuDevicePrimaryCtxRelease", self._ordinal)

    class Device:
        def __init__(self, ordinal: int) -> None:
            self._ordinal = call("cuDeviceGet", ordinal)

        @staticmethod
        def count() -> int:
            return int(call("cuDeviceGetCount"))

        def name(self) -> str:
            return str(call("cuDeviceGetName", 64, self._ordinal).rstrip(b"\0").decode())

        def compute_capability(self) -> tuple[int, int]:
            return machine.gpus[self._ordinal].compute_capability

        def retain_primary_context(self) -> Context:
            return Context(self._ordinal)

    class DeviceAllocation:
        def __init__(self, nbytes: int) -> None:
            self._address = call("cuMemAlloc", nbytes)

        def __int__(self) -> int:
            return int(self._address)

        def free(self) -> None:
            call("cuMemFree", self._address)

    class PagelockedHostAllocation:
        """The base of the arrays that `pagelocked_empty` makes."""

        def __init__(self, nbytes: int) -> None:
            self.address = call("cuMemHostAlloc", nbytes, 0)
            self.__array_interface__ = {
                "data": (self.address, False),
                "shape": (nbytes,),
                "typestr": "|u1",
                "version": 3,
            }

        def free(self) -> None:
            call("cuMemFreeHost", self.address)

    class Stream:
        def __init__(self, flags: int = 0) -> None:
            self.handle = call("cuStreamCreate", flags)

        def __del__(self) -> None:
            call("cuStreamDestroy", self.handle)

    class Event:
        def __init__(self, flags: int = 0) -> None:
            self._event = call("cuEventCreate", flags)

        def record(self, stream: Stream) -> "Event":
            call("cuEventRecord", self._event, stream.handle)
            return self

        def synchronize(self) -> "Event":
            call("cuEventSynchronize", self._event)
            return self

        def __del__(self) -> None:
            call("cuEventDestroy", self._event)

    class Function:
        def __init__(self, function: Any) -> None:
            self._function, self._types = function, ""

        def prepare(self, arg_types: str) -> "Function":
            self._types = arg_types
            return self

        def prepared_async_call(
            self, grid: tuple[int, int], block: tuple[int, int, int], stream: Stream, *args: int
        ) -> None:
            struct.pack(self._types, *args)
            types = tuple({"P": ctypes.c_void_p, "i": ctypes.c_int}[one] for one in self._types)
            handle = stream.handle
            call("cuLaunchKernel", self._function, *grid, 1, *block, 0, handle, (args, types), 0)

    class Module:
        """What `module_from_buffer` gives."""

        def __init__(self, module: int) -> None:
            self._module = module

        def get_function(self, name: str) -> Function:
            return Function(call("cuModuleGetFunction", self._module, name.encode()))

        def __del__(self) -> None:
            call("cuModuleUnload", self._module)

    def memcpy_htod_async(dest: int, src: NDArray[np.uint8], stream: Stream) -> None:
        call("cuMemcpyHtoDAsync", dest, src.ctypes.data, src.nbytes, stream.handle)

    def memcpy_dtoh_async(dest: NDArray[np.uint8], src: int, stream: Stream) -> None:
        call("cuMemcpyDtoHAsync", dest.ctypes.data, src, dest.nbytes, stream.handle)

    module = ModuleType("pycuda.driver")
    contents = {
        "Context": Context,
        "Device": Device,
        "Error": Error,
        "Event": Event,
        "LogicError": LogicError,
        "MemoryError": MemoryError,
        "Stream": Stream,
        "event_flags": EventFlags,
        "get_driver_version": lambda: call("cuDriverGetVersion"),
        "init": lambda: call("cuInit", 0),
        "mem_alloc": DeviceAllocation,
        "mem_get_info": lambda: call("cuMemGetInfo"),
        "module_from_buffer": lambda buffer: Module(call("cuModuleLoadData", buffer)),
        "memcpy_dtoh_async": memcpy_dtoh_async,
        "memcpy_htod_async": memcpy_htod_async,
        "pagelocked_empty": lambda nbytes, dtype: np.asarray(PagelockedHostAllocation(nbytes)),
    }
    for name, value in contents.items():
        setattr(module, name, value)
    return module
