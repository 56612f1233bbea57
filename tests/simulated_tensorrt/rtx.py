"""TensorRT for RTX on a machine with a simulated card.

Builder, parser and configuration are the real ones, and so are the plans that they build. Only what
needs a card is simulated: a plan carries the ONNX file that it was built from at its end, and the
simulated runtime lets onnxruntime compute that. Whether a plan fits the card is read off the real
plan's header.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pytest

from tests.simulated_tensorrt import runtime
from tests.simulated_tensorrt.library_state import Library
from tests.simulated_tensorrt.machine import Machine, ProcessWouldEnd, Stream

__all__ = ["rtx_module"]

# A plan's header, as seen in those that 1.7 builds: magic, version, and a bit a compute capability.
MAGIC, VERSION_AT, SMS_AT = b"vtrt", slice(24, 28), 32
SMS = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
TRAILER = b"\nbuilt from: "


@dataclass
class RtxLibrary(Library):
    """The library on one machine, and what tests can make go wrong."""

    diagnoses: int = 0
    """What `get_engine_validity` finds wrong beside what the header says."""
    validity: str = "INVALID"
    """What it says to that."""
    compiled: list[tuple[int, ...]] = field(default_factory=list)
    """The shapes that kernels were compiled for; () for those of all shapes."""
    at_build: Callable[[], None] = lambda: None
    """Called when a build begins, in the builder's thread."""
    caches_break: bool = False
    """Whether `serialize` of a runtime cache fails."""

    @property
    def gpu(self) -> Any:
        """Without a driver there is none, and nothing ends the process."""
        return self.machine.current

    @property
    def environment(self) -> str:
        """What a runtime cache is of use for."""
        gpu = self.machine.current
        if gpu is None:
            raise ProcessWouldEnd("a runtime cache was used where no CUDA context is current")
        return f"{self.version}, {gpu.name}, {self.machine.cuda}"


@dataclass(frozen=True)
class RtxPlan:
    """What the simulated runtime needs of a plan."""

    input_name: str
    profile: tuple[tuple[int, ...], ...]
    model: bytes

    def to_trailer(self) -> bytes:
        model = base64.b64encode(self.model).decode()
        return TRAILER + json.dumps([self.input_name, self.profile, model]).encode()

    @classmethod
    def from_bytes(cls, plan: bytes) -> "RtxPlan | None":
        """None for anything but a whole plan."""
        _, found, trailer = plan.rpartition(TRAILER)
        if not (found and plan.startswith(MAGIC)):
            return None
        name, profile, model = json.loads(trailer)
        return cls(name, tuple(map(tuple, profile)), base64.b64decode(model))


class Logger:
    """Lets simulated objects log through the real library's `ILogger`."""

    def __init__(self, real: ModuleType, logger: Any) -> None:
        self._severity, self._logger = real.ILogger.Severity, logger
        self._initialised = True

    def log(self, severity: str, msg: str) -> None:
        self._logger.log(getattr(self._severity, severity), msg)


def rtx_module(machine: Machine, version: str | None) -> ModuleType:
    """What `import tensorrt_rtx` gives.

    Args:
        version: Of the runtime; None: that of the real builder.
    """
    real = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")
    module = ModuleType("tensorrt_rtx")
    module.__dict__.update({name: value for name, value in vars(real).items() if name[0] != "_"})
    module.__version__ = version or real.__version__
    enumerations = {
        "DataType": real.DataType.__members__,
        "ExecutionContextAllocationStrategy": real.ExecutionContextAllocationStrategy,
        "TensorIOMode": real.TensorIOMode,
    }
    library = RtxLibrary(machine, module.__version__, False, enumerations)
    machine.library = machine.rtx = library
    parsed: dict[int, bytes] = {}  # the ONNX file of each network that is alive

    class OnnxParser(real.OnnxParser):
        def __init__(self, network: Any, logger: Any) -> None:
            super().__init__(network, logger)
            self._network = network

        def parse(self, model: bytes, path: str | None = None) -> bool:
            parsed[id(self._network)] = bytes(model)
            return bool(super().parse(model))

    class Builder(real.Builder):
        def create_optimization_profile(self) -> Any:
            self._profile = super().create_optimization_profile()
            return self._profile

        def build_serialized_network(self, network: Any, config: Any) -> bytes | None:
            library.at_build()
            plan = super().build_serialized_network(network, config)
            if plan is None:
                return None
            library.builds += 1
            name = network.get_input(0).name
            profile = tuple(tuple(shape) for shape in self._profile.get_shape(name))
            return bytes(plan) + RtxPlan(name, profile, parsed[id(network)]).to_trailer()

    class Runtime(RtxRuntime):
        def __init__(self, logger: Any) -> None:
            super().__init__(library, Logger(real, logger))
            self._real = real

    module.Builder, module.OnnxParser, module.Runtime = Builder, OnnxParser, Runtime
    return module


class RtxRuntime(runtime.Runtime):
    _library: RtxLibrary
    _real: ModuleType
    engine_header_size = 64

    def get_engine_validity(self, buffer: bytes) -> tuple[Any, int]:
        verdicts, kinds = self._real.EngineValidity, self._real.EngineInvalidityDiagnostics
        header, gpu = bytes(buffer), self._library.gpu
        if gpu is None:
            self.logger.log("INTERNAL_ERROR", "Error reading CUDA GPU properties: (cudaError 35)")
            return verdicts.INVALID, 0
        if len(header) != self.engine_header_size or not header.startswith(MAGIC):
            return verdicts.INVALID, int(kinds.MALFORMED_ENGINE)
        found = 0
        if list(header[VERSION_AT]) != [int(part) for part in self._library.version.split(".")]:
            found |= int(kinds.VERSION_MISMATCH)
        here = "{}.{}".format(*gpu.compute_capability)
        if here not in [one for bit, one in enumerate(SMS) if header[SMS_AT] >> bit & 1]:
            found |= int(kinds.UNSUPPORTED_CC)
        if found:
            return verdicts.INVALID, found
        if self._library.diagnoses:
            return getattr(verdicts, self._library.validity), self._library.diagnoses
        return verdicts.VALID, 0

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> "RtxEngine | None":
        library, gpu = self._library, self._library.gpu
        if gpu is None:
            return self._refuse("Cuda Runtime (cudaError 35: driver version is insufficient)")
        plan = RtxPlan.from_bytes(bytes(serialized_engine))
        if plan is None or not library.loads:
            return self._refuse("Assertion bufferSize >= minBufferSize failed. In readHeader")
        return RtxEngine(library, plan, gpu, self.logger)  # type: ignore[arg-type]


class IRuntimeConfig:
    """Attributes that it does not have cannot be set, as in pybind11."""

    __slots__ = (
        "_cache",
        "_library",
        "_strategy",
        "cuda_graph_strategy",
        "dynamic_shapes_kernel_specialization_strategy",
    )

    def __init__(self, library: RtxLibrary) -> None:
        self._library, self._strategy = library, None
        self._cache: IRuntimeCache | None = None

    def set_execution_context_allocation_strategy(self, strategy: Any) -> None:
        self._strategy = strategy

    def get_execution_context_allocation_strategy(self) -> Any:
        return self._strategy

    def create_runtime_cache(self) -> "IRuntimeCache":
        return IRuntimeCache(self._library)

    def set_runtime_cache(self, cache: "IRuntimeCache") -> bool:
        self._cache = cache
        return True

    def get_runtime_cache(self) -> "IRuntimeCache | None":
        return self._cache


class IRuntimeCache:
    """Kernels by the shape that they were compiled for."""

    def __init__(self, library: RtxLibrary) -> None:
        self._library = library
        self._shapes: set[tuple[int, ...]] = set()

    def deserialize(self, blob: bytes) -> bool:
        try:
            environment, shapes = json.loads(bytes(blob))
        except ValueError:
            return False
        if environment != self._library.environment:
            return False
        self._shapes |= {tuple(shape) for shape in shapes}
        return True

    def serialize(self) -> bytes | None:
        if self._library.caches_break:
            return None
        return json.dumps([self._library.environment, sorted(self._shapes)]).encode()

    def compile(self, shape: tuple[int, ...]) -> None:
        if shape not in self._shapes:
            self._shapes.add(shape)
            self._library.compiled.append(shape)


class RtxEngine(runtime.ICudaEngine):
    library: RtxLibrary

    def create_runtime_config(self) -> IRuntimeConfig:
        return IRuntimeConfig(self.library)

    def create_execution_context(
        self, strategy: "IRuntimeConfig | None" = None
    ) -> "RtxContext | None":
        config = strategy
        assert config is not None, "there is no way to set up kernels but by a configuration"
        cache = config.get_runtime_cache()
        assert cache is not None
        cache.compile(())
        own = self._own_memory(config.get_execution_context_allocation_strategy())
        return None if own is None else RtxContext(self, own, config)


class RtxContext(runtime.IExecutionContext):
    _engine: RtxEngine

    def __init__(self, engine: RtxEngine, own_memory: int, config: IRuntimeConfig) -> None:
        super().__init__(engine, own_memory)
        self._config = config
        self._runs = 0  # of the shape that is set

    def set_input_shape(self, name: str, shape: Any) -> bool:
        if tuple(shape[:]) != self._shape:
            self._runs = 0
        return super().set_input_shape(name, shape)

    def execute_async_v3(self, stream_handle: int) -> bool:
        gpu = self._engine.gpu
        stream: Stream | None = gpu.streams.get(stream_handle)
        graphs = getattr(self._config.cuda_graph_strategy, "name", "DISABLED") != "DISABLED"
        if stream is not None and stream.capture is not None and graphs:
            raise ProcessWouldEnd("two captures of one stream")
        if not super().execute_async_v3(stream_handle):
            return False
        cache = self._config.get_runtime_cache()
        assert cache is not None
        assert self._shape is not None
        cache.compile(self._shape)
        self._runs += 1
        # The first run is not captured, the second is, and from the third on the graph runs.
        gpu.launches += graphs and self._runs > 2 and not gpu.capturing_fails
        return True
