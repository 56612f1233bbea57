"""The module `tensorrt` of either version, or `tensorrt_lean`, put together for one machine."""

from types import ModuleType
from typing import Any

import numpy as np

from tests.simulated_tensorrt import builder, network, runtime
from tests.simulated_tensorrt.library_state import Library
from tests.simulated_tensorrt.machine import Machine, ProcessWouldEnd
from tests.simulated_tensorrt.signatures import enumeration

__all__ = ["tensorrt_module"]

ENUMERATIONS = (
    "DataType",
    "ExecutionContextAllocationStrategy",
    "HardwareCompatibilityLevel",
    "TensorIOMode",
)
OF_THE_BUILDER = (
    "BuilderFlag",
    "LayerType",
    "MemoryPoolType",
    "NetworkDefinitionCreationFlag",
    "PreviewFeature",
)

NUMPY = {"FLOAT": np.float32, "HALF": np.float16, "UINT8": np.uint8, "BOOL": np.bool_}


def tensorrt_module(machine: Machine, version: str, *, lean: bool = False) -> ModuleType:
    """What `import tensorrt` gives, or `import tensorrt_lean`."""
    module = ModuleType("tensorrt_lean" if lean else "tensorrt")
    module.__version__ = version
    kinds = {
        name: enumeration(version, name)
        for name in (*ENUMERATIONS, *(() if lean else OF_THE_BUILDER))
    }
    library = Library(machine, version, lean, kinds)
    machine.library = library

    class Runtime(runtime.Runtime):
        def __init__(self, logger: Any) -> None:
            super().__init__(library, logger)

    contents: dict[str, Any] = {
        **kinds,
        "Dims": Dims,
        "ILogger": ILogger,
        "IProgressMonitor": IProgressMonitor,
        "Runtime": Runtime,
        "ICudaEngine": runtime.ICudaEngine,
        "IExecutionContext": runtime.IExecutionContext,
        "nptype": lambda dtype: NUMPY[dtype.name],
    }
    if not lean:

        class Builder(builder.Builder):
            def __init__(self, logger: Any) -> None:
                super().__init__(library, logger)

        contents |= {
            "Builder": Builder,
            "IBuilderConfig": builder.IBuilderConfig,
            "INetworkDefinition": network.INetworkDefinition,
            "IOptimizationProfile": builder.IOptimizationProfile,
            "ITimingCache": builder.ITimingCache,
            "OnnxParser": network.OnnxParser,
        }
    for name, value in contents.items():
        setattr(module, name, value)
    return module


class ILogger:
    """To be derived from; the base must have been initialised, as in pybind11."""

    class Severity:
        INTERNAL_ERROR = "INTERNAL_ERROR"
        ERROR = "ERROR"
        WARNING = "WARNING"
        INFO = "INFO"
        VERBOSE = "VERBOSE"

    def __init__(self) -> None:
        self._initialised = True

    def log(self, severity: str, msg: str) -> None:
        raise ProcessWouldEnd("a logger without log()")


class IProgressMonitor:
    """To be derived from; the base must have been initialised, as in pybind11."""

    def __init__(self) -> None:
        self._initialised = True


class Dims:
    """A shape; equal to tuples, and no tuple."""

    def __init__(self, shape: Any = ()) -> None:
        self._sides = tuple(int(side) for side in shape)

    def __len__(self) -> int:
        return len(self._sides)

    def __getitem__(self, index: Any) -> Any:
        return self._sides[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (tuple, list)) and self._sides == tuple(other)

    __hash__ = None
