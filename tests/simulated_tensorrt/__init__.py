"""TensorRT 10 or 11, or TensorRT for RTX, and the CUDA driver, on the CPU, for tests without a GPU.

They take what the real ones take, at the strictest reading of their documentation, and refuse the
rest; what the real ones would answer by ending the process raises `ProcessWouldEnd`. Engines are
computed by onnxruntime, so that outputs can be compared to the last bit.
"""

import contextlib
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from importlib.machinery import ModuleSpec
from types import ModuleType

from sr_runtime.backends.tensorrt.options import Kind
from tests.simulated_tensorrt.driver import driver_module
from tests.simulated_tensorrt.library import tensorrt_module
from tests.simulated_tensorrt.machine import Gpu, Machine, ProcessWouldEnd
from tests.simulated_tensorrt.pycuda_driver import pycuda_module
from tests.simulated_tensorrt.rtx import rtx_module

__all__ = [
    "RUNNERS",
    "VERSIONS",
    "Gpu",
    "Machine",
    "ProcessWouldEnd",
    "simulated",
    "simulated_kind",
    "simulated_runner",
]

VERSIONS = ("10.16.1.11", "11.4.0.106")

RUNNERS = ("rtx", *VERSIONS)
"""Every library that runs engines: TensorRT for RTX, and the versions of TensorRT."""

machines: list[Machine] = []

# This module of ours keeps PyCUDA, so it is imported anew for each machine.
OURS = ("sr_runtime.backends.cuda.pycuda",)


@contextlib.contextmanager
def simulated(
    version: str | None = VERSIONS[-1],
    *,
    gpus: int = 1,
    driver: bool = True,
    lean: bool = False,
    pycuda: bool = False,
    bindings: bool = True,
    rtx: bool = False,
    rtx_version: str | None = None,
) -> Iterator[Machine]:
    """In the block: a machine with that TensorRT and those GPUs.

    Args:
        version: Of TensorRT; None: it is not installed.
        driver: Without it the packages are installed and the NVIDIA driver is not.
        lean: `tensorrt_lean` is installed and `tensorrt` is not.
        pycuda: PyCUDA is installed too.
        bindings: cuda.bindings is installed.
        rtx: TensorRT for RTX is installed, and the GPUs are cards that it runs on.
        rtx_version: Of its runtime; None: that of its builder, which is real.
    """
    card = {"name": "Simulated RTX", "compute_capability": (8, 9)} if rtx else {}
    machine = Machine([Gpu(**card) for _ in range(gpus)], driver=driver)
    cuda, cuda_bindings = ModuleType("cuda"), ModuleType("cuda.bindings")
    api = driver_module(machine)
    if bindings:
        cuda.bindings, cuda_bindings.driver = cuda_bindings, api
    modules: dict[str, ModuleType | None] = {
        "cuda": cuda,
        "cuda.bindings": cuda_bindings if bindings else None,
        "cuda.bindings.driver": api if bindings else None,
        "pycuda": None,
        "pycuda.driver": None,
        "tensorrt": None,
        "tensorrt_lean": None,
        "tensorrt_rtx": None,
    }
    if rtx:
        modules["tensorrt_rtx"] = rtx_module(machine, rtx_version)
    if version is not None:
        name = "tensorrt_lean" if lean else "tensorrt"
        modules[name] = tensorrt_module(machine, version, lean=lean)
    if pycuda and driver:
        modules["pycuda"] = package = ModuleType("pycuda")
        modules["pycuda.driver"] = package.driver = pycuda_module(machine, api)
    for name, module in modules.items():
        if module is not None:  # torch looks packages up by their specs
            module.__spec__ = ModuleSpec(name, None)
    before = _take_out(tuple(modules))
    sys.modules.update(modules)
    machines.append(machine)
    try:
        yield machine
    finally:
        machines.pop()
        _take_out(tuple(modules))
        sys.modules.update(before)


def simulated_runner(name: str) -> AbstractContextManager[Machine]:
    """In the block: a machine with this one of `RUNNERS`."""
    return simulated(None, rtx=True) if name == "rtx" else simulated(name)


def simulated_kind() -> Kind:
    """The library of the machine that is simulated now, where it has only one."""
    return machines[-1].kind


def _take_out(names: tuple[str, ...]) -> dict[str, ModuleType]:
    """Remove these modules and ours, so that ours are imported anew; return what was removed."""
    for name in OURS:
        package, _, module = name.rpartition(".")
        with contextlib.suppress(KeyError, AttributeError):
            delattr(sys.modules[package], module)
    return {name: sys.modules.pop(name) for name in (*names, *OURS) if name in sys.modules}
