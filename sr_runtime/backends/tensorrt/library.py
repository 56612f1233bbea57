"""The TensorRT libraries, which one code path builds and runs engines with.

"tensorrt" is TensorRT 10 or 11, or its lean runtime, which builds nothing. "tensorrt-rtx" is
TensorRT for RTX: it builds on any machine, and compiles the kernels on the GPU that runs them.
"""

import contextlib
import importlib
import importlib.metadata
import re
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from sr_runtime.backends.cuda import driver
from sr_runtime.backends.out_of_memory import is_out_of_memory
from sr_runtime.backends.tensorrt.options import NAMES, Kind
from sr_runtime.errors import BackendError, OutOfMemoryError, require_extra

if TYPE_CHECKING:
    import tensorrt as trt

__all__ = [
    "Library",
    "Log",
    "TensorRT",
    "builder_library",
    "built_for",
    "open_library",
    "without_driver_noise",
]

NO_DRIVER = re.compile(r"catchCudaError.*cudaError 35\b")

EXTRAS: dict[Kind, str] = {"tensorrt": "tensorrt", "tensorrt-rtx": "rtx"}


class TensorRT:
    """The type of a library's module for mypy: the names of `tensorrt` that are used here.

    `tensorrt_rtx` has the same names. It has no stubs, so NVIDIA's stubs of `tensorrt` serve both.
    """

    Builder: "type[trt.Builder]"
    BuilderFlag: "type[trt.BuilderFlag]"
    DataType: "type[trt.DataType]"
    Dims: "type[trt.Dims]"
    ExecutionContextAllocationStrategy: "type[trt.ExecutionContextAllocationStrategy]"
    HardwareCompatibilityLevel: "type[trt.HardwareCompatibilityLevel]"
    ILogger: "type[trt.ILogger]"
    IProgressMonitor: "type[trt.IProgressMonitor]"
    LayerType: "type[trt.LayerType]"
    MemoryPoolType: "type[trt.MemoryPoolType]"
    NetworkDefinitionCreationFlag: "type[trt.NetworkDefinitionCreationFlag]"
    OnnxParser: "type[trt.OnnxParser]"
    PreviewFeature: "type[trt.PreviewFeature]"
    Runtime: "type[trt.Runtime]"
    TensorIOMode: "type[trt.TensorIOMode]"
    nptype: Any
    # Only `tensorrt_rtx` has these.
    ComputeCapability: Any
    CudaGraphStrategy: Any
    DynamicShapesKernelSpecializationStrategy: Any
    EngineInvalidityDiagnostics: Any
    EngineValidity: Any


@dataclass(frozen=True)
class Library:
    """A TensorRT that is installed here."""

    kind: Kind
    trt: TensorRT
    """The module."""
    version: str
    """"11.4.0.106" for instance."""
    lean: bool
    """Whether it runs version-compatible engines only, and builds none."""

    @property
    def name(self) -> str:
        """Its name in messages, with the version."""
        return f"{NAMES[self.kind]} {self.version}"

    @property
    def compute_capabilities(self) -> tuple[str, ...]:
        """The GPUs that it builds for without having them, "8.9" for instance."""
        if self.kind == "tensorrt":
            return ()
        names = self.trt.ComputeCapability.__members__
        return tuple(f"{name[2:-1]}.{name[-1]}" for name in names if name.startswith("SM"))


def open_library(kind: Kind) -> Library:
    """Import a library; BackendError with the reason if it, or a GPU that it needs, is missing."""
    with require_extra(EXTRAS[kind]):
        if kind == "tensorrt-rtx":
            module = _import("tensorrt_rtx")
        else:
            # Checked first, because without a driver TensorRT ends the process.
            cuda = built_for("tensorrt") or built_for("tensorrt_lean")
            if (reason := driver.missing("tensorrt", cuda=cuda)) is not None:
                raise BackendError(reason)
            try:
                module = _import("tensorrt")
            except ModuleNotFoundError as error:
                try:
                    module = _import("tensorrt_lean")
                except ModuleNotFoundError:
                    raise error from None
    return Library(kind, cast(TensorRT, module), module.__version__, not hasattr(module, "Builder"))


def builder_library(kind: Kind) -> Library:
    """`open_library`, with a builder; BackendError if only the lean runtime is installed."""
    library = open_library(kind)
    if library.lean:
        raise BackendError(
            "tensorrt_lean runs engines but cannot build them: pip install tensorrt, or build the "
            "engine with --version-compatible on a machine that has it"
        )
    return library


def built_for(package: str) -> int | None:
    """The CUDA version in the name of an installed library's wheel; None: there is no wheel."""
    for cuda in driver.FIRST_DRIVERS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            importlib.metadata.distribution(f"{package}_cu{cuda}_libs")
            return cuda
    return None


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except OSError as error:  # a library that the package loads is missing
        raise ImportError(f"{name} cannot be loaded ({error})") from error


def without_driver_noise(message: str) -> str:
    """An error on one line, less what TensorRT for RTX adds to every error without a driver."""
    lines = [line for line in message.splitlines() if not NO_DRIVER.search(line)]
    return " ".join(" ".join(lines).split())


class Log:
    """Keeps errors and prints nothing: an exception reports each of them once.

    It must live as long as the objects made with its `logger`.
    """

    def __init__(self, library: Library) -> None:
        self._name = library.name
        # Only the last ones: a good build logs errors too, for kernels that it tried.
        self._errors: deque[str] = deque(maxlen=3)
        base: Any = library.trt.ILogger
        errors = self._errors
        severities = (base.Severity.ERROR, base.Severity.INTERNAL_ERROR)

        class Logger(base):  # type: ignore[misc]  # the library is known only now
            def log(self, severity: object, msg: str) -> None:
                if severity in severities and (error := without_driver_noise(msg)):
                    errors.append(error)

        self.logger: trt.ILogger = Logger()

    @property
    def last_error(self) -> str:
        """The latest error, on one line."""
        return self._errors[-1] if self._errors else "TensorRT gives no reason"

    @property
    def out_of_memory(self) -> bool:
        """Whether one of the latest errors since `clear` is about memory."""
        return any(map(is_out_of_memory, self._errors))

    def failure(self, what: str) -> BackendError | OutOfMemoryError:
        """The error to raise where the library `what`: "could not run the engine"."""
        if self.out_of_memory:
            return OutOfMemoryError(f"{self._name} has not enough memory ({self.last_error})")
        return BackendError(f"{self._name} {what} ({self.last_error})")

    def clear(self) -> None:
        """Forget the errors so far."""
        self._errors.clear()
