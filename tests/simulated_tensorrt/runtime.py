"""The runtime's side: engines, their execution contexts, and what they refuse."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from tests.simulated_tensorrt.library_state import Library, Plan, scratch_bytes
from tests.simulated_tensorrt.machine import CudaError, Gpu, ProcessWouldEnd
from tests.simulated_tensorrt.network import TYPES, types_of

__all__ = ["ICudaEngine", "IExecutionContext", "Runtime"]

NUMPY = {"FLOAT": np.float32, "HALF": np.float16, "UINT8": np.uint8, "BOOL": np.bool_}


class Runtime:
    def __init__(self, library: Library, logger: Any) -> None:
        if not getattr(logger, "_initialised", False):
            raise TypeError("the logger's base was not initialised")
        self._library, self.logger = library, logger
        self.engine_host_code_allowed = False

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> "ICudaEngine | None":
        library, gpu = self._library, self._library.gpu
        if gpu is None:
            raise ProcessWouldEnd("an engine was loaded where no CUDA context is current")
        plan = Plan.from_bytes(bytes(serialized_engine))
        if plan is None or not library.loads:
            return self._refuse("Serialization assertion magicTagRead == kMAGIC_TAG failed.")
        if plan.version_compatible:
            if not library.lean and not self.engine_host_code_allowed:
                return self._refuse("Cannot deserialize a plan that holds host code.")
        elif library.lean or plan.version != library.version:
            return self._refuse("Serialization assertion stdVersionRead == kVERSION failed.")
        runs = {
            "NONE": gpu.compute_capability == plan.compute_capability,
            "SAME_COMPUTE_CAPABILITY": gpu.compute_capability == plan.compute_capability,
            "AMPERE_PLUS": gpu.compute_capability >= (8, 0),
        }
        if not runs[plan.hardware_compatible]:
            return self._refuse("The engine plan file is generated on an incompatible device.")
        return ICudaEngine(library, plan, gpu, self.logger)

    def _refuse(self, message: str) -> None:
        self.logger.log("ERROR", f"[runtime] Error Code 1: {message}")


class ICudaEngine:
    def __init__(self, library: Library, plan: Plan, gpu: Gpu, logger: Any) -> None:
        self.library, self.plan, self.gpu, self.logger = library, plan, gpu, logger
        self.model = onnx.load_model_from_string(plan.model)
        options = ort.SessionOptions()
        options.log_severity_level = 4
        self.session = ort.InferenceSession(plan.model, options, providers=["CPUExecutionProvider"])
        graph, types = self.model.graph, types_of(self.model)
        self.names = [value.name for value in (*graph.input, *graph.output)]
        self.inputs = {value.name for value in graph.input}
        self.dtypes = {name: TYPES[types[name]] for name in self.names}
        facts = {entry.key: entry.value for entry in self.model.metadata_props}
        self.scale = int(facts["sr.scale"])
        self.picture_axes = (1, 2) if facts["sr.io"] == "uint8" else (2, 3)
        self.ranks = {
            value.name: len(value.type.tensor_type.shape.dim)
            for value in (*graph.input, *graph.output)
        }

    @property
    def num_io_tensors(self) -> int:
        return len(self.names)

    @property
    def device_memory_size_v2(self) -> int:
        return scratch_bytes(self.plan.profile[2])

    def get_tensor_name(self, index: int) -> str:
        return self.names[index]

    def get_tensor_mode(self, name: str) -> Any:
        modes = self.library.TensorIOMode
        return modes.INPUT if name in self.inputs else modes.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return self.library.DataType[self.dtypes[name]]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1,) * self.ranks[name]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        assert profile_index == 0
        return list(self.plan.profile)

    def create_execution_context(self, strategy: Any = None) -> "IExecutionContext | None":
        if self.library.gpu is not self.gpu:
            self.logger.log(
                "ERROR", "[engine] the engine is of another device than the current one"
            )
            return None
        own = self._own_memory(strategy)
        return None if own is None else IExecutionContext(self, own)

    def _own_memory(self, strategy: Any) -> int | None:
        """Where a context's own memory is; 0: it has none; None: there is not enough."""
        if strategy is self.library.ExecutionContextAllocationStrategy.USER_MANAGED:
            return 0
        try:
            return self.gpu.allocate(self.device_memory_size_v2)
        except CudaError:
            self.logger.log("ERROR", "[context] Error Code 2: OutOfMemory")
            return None


@dataclass(frozen=True)
class Buffers:
    """What one enqueue reads and writes, as it was when it was queued."""

    shape: tuple[int, ...]
    addresses: dict[str, int]
    scratch: int


class IExecutionContext:
    def __init__(self, engine: ICudaEngine, own_memory: int) -> None:
        self._engine, self._own = engine, own_memory
        self._shape: tuple[int, ...] | None = None
        self._addresses: dict[str, int] = {}
        self._scratch = (own_memory, engine.device_memory_size_v2) if own_memory else (0, 0)
        self._sized_for: tuple[int, ...] | None = None
        self._enqueued_shape: tuple[int, ...] | None = None

    def set_input_shape(self, name: str, shape: Any) -> bool:
        sides = tuple(shape[:])
        least, _, most = self._engine.plan.profile
        if name not in self._engine.inputs or len(sides) != len(least):
            return self._refuse(f"there is no input {name} of {len(sides)} dimensions")
        if not all(a <= b <= c for a, b, c in zip(least, sides, most, strict=True)):
            return self._refuse(f"Static or profile dimension mismatch: {sides} for {name}")
        self._shape = sides
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if self._shape is None:
            return (-1,) * self._engine.ranks[name]
        if name in self._engine.inputs:
            return self._shape
        return self._shape_out(name, self._shape)

    def update_device_memory_size_for_shapes(self) -> int:
        if self._shape is None:
            return 0
        self._sized_for = self._shape
        return scratch_bytes(self._shape)

    def set_device_memory(self, memory: int, size: int) -> None:
        if self._own:
            raise ProcessWouldEnd("the context's memory is its own")
        self._scratch = (memory, size)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if name not in self._engine.names:
            return self._refuse(f"there is no tensor {name}")
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        engine = self._engine
        if engine.library.gpu is not engine.gpu:
            return self._refuse("the engine's device is not the current one")
        stream = engine.gpu.streams.get(stream_handle)
        if stream is None:
            raise ProcessWouldEnd("there is no such stream")
        if self._shape is None:
            return self._refuse("the shape of an input is not set")
        if set(self._addresses) != set(engine.names):
            return self._refuse("the address of a tensor is not set")
        if not self._own and (
            self._sized_for != self._shape or self._scratch[1] < scratch_bytes(self._shape)
        ):
            raise ProcessWouldEnd("device memory is too small for the shapes")
        if stream.capture is not None and self._enqueued_shape != self._shape:
            stream.capture_valid = False
            return self._refuse("a capture needs an enqueue before, in the same shape")
        buffers = Buffers(self._shape, dict(self._addresses), self._scratch[0])
        if stream.capture is None:
            self._enqueued_shape = self._shape
            stream.put(self._work(buffers))
        else:
            stream.put(self._checked(self._work(buffers), buffers))
        return True

    def _work(self, buffers: Buffers) -> Callable[[], None]:
        """The computation, on what is in the buffers when it is done."""
        engine, gpu = self._engine, self._engine.gpu

        def array(name: str, shape: tuple[int, ...]) -> NDArray[Any]:
            dtype = np.dtype(NUMPY[engine.dtypes[name]])
            memory = gpu.memory_at(buffers.addresses[name], math.prod(shape) * dtype.itemsize)
            return memory.view(dtype).reshape(shape)

        def work() -> None:
            gpu.at_work()
            scratch = gpu.memory_at(buffers.scratch, scratch_bytes(buffers.shape))
            source = array(engine.plan.input_name, buffers.shape)
            outputs = engine.session.run(None, {engine.plan.input_name: source})
            scratch[:] = 0  # whoever shares it with another context loses what it holds
            for value, output in zip(engine.model.graph.output, outputs, strict=True):
                array(value.name, output.shape)[...] = output

        return work

    def _checked(self, work: Callable[[], None], buffers: Buffers) -> Callable[[], None]:
        """A captured computation, which is of the context's state at the capture."""

        def launch() -> None:
            if self._shape != buffers.shape or self._addresses != buffers.addresses:
                raise ProcessWouldEnd("a graph outlived the shape or the buffers of its context")
            work()

        return launch

    def _shape_out(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        engine = self._engine
        if engine.ranks[name] == 1:
            return shape[:1]
        return tuple(
            side * engine.scale if axis in engine.picture_axes else side
            for axis, side in enumerate(shape)
        )

    def _refuse(self, message: str) -> bool:
        self._engine.logger.log("ERROR", f"[context] Error Code 3: API Usage Error ({message})")
        return False
