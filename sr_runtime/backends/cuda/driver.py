"""The GPUs of this machine, through cuda.bindings, or PyCUDA where only that is installed."""

import importlib
from types import ModuleType

from sr_runtime.backends.cuda.memory import Device
from sr_runtime.errors import BackendError

__all__ = [
    "FIRST_DRIVERS",
    "cuda_version",
    "device_facts",
    "device_names",
    "missing",
    "open_device",
]

# The first driver of each major version of CUDA. It runs what was built for any minor version.
FIRST_DRIVERS = {11: 450, 12: 525, 13: 580}


def missing(library: str = "", *, cuda: int | None = None) -> str | None:
    """Why no GPU can be used here, in one sentence; None if one can.

    Safe on any machine, while TensorRT ends the process where there is no driver.

    Args:
        library: One that is going to use it, for the message.
        cuda: The CUDA version that the library was built for, 13 for instance; None: not known.
    """
    try:
        binding = _binding()
        binding.device_count()
        known = binding.cuda_version()
    except BackendError as error:
        return str(error)
    if cuda is None or known >= (cuda, 0):
        return None
    version = f" {FIRST_DRIVERS[cuda]} or newer" if cuda in FIRST_DRIVERS else ""
    return (
        f"the NVIDIA driver is too old: it knows CUDA {known[0]}.{known[1]}, and {library} needs "
        f"CUDA {cuda}: install driver{version}, or a {library.split()[0]} built for CUDA {known[0]}"
    )


def device_names() -> tuple[str, ...]:
    """ "cuda:0", "cuda:1" and so on; BackendError with the reason if there is none."""
    return tuple(f"cuda:{ordinal}" for ordinal in range(_binding().device_count()))


def device_facts(name: str) -> tuple[str, str]:
    """A GPU's name and compute capability, "8.9" for instance; BackendError if there is none."""
    facts: tuple[str, str] = _binding().device_facts(_ordinal(name))
    return facts


def cuda_version() -> tuple[int, int]:
    """The latest CUDA that the driver knows, (13, 0) for instance."""
    version: tuple[int, int] = _binding().cuda_version()
    return version


def open_device(name: str) -> Device:
    """Open a GPU by its name; BackendError if there is no such GPU."""
    device: Device = _binding().CudaDevice(_ordinal(name))
    return device


def _ordinal(name: str) -> int:
    devices = device_names()
    if name not in devices:
        raise BackendError(f"there is no device {name}: this machine has {', '.join(devices)}")
    return devices.index(name)


def _binding() -> ModuleType:
    """The module that talks to CUDA. PyCUDA comes second because it has no CUDA graphs."""
    try:
        importlib.import_module("cuda.bindings.driver")
    except ImportError:
        try:
            from sr_runtime.backends.cuda import pycuda
        except ImportError:  # not installed, or without the driver: `bindings` says which
            pass
        else:
            return pycuda
    from sr_runtime.backends.cuda import bindings

    return bindings
