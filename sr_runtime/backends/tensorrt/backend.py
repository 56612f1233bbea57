"""TensorRT on an NVIDIA GPU: runs engines, and FP16 ONNX files through a cache of engines."""

import contextlib
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from sr_runtime.backends.base import DeviceBackend, Limits
from sr_runtime.backends.cuda.driver import device_names, open_device
from sr_runtime.backends.cuda.pixels import PixelKernels
from sr_runtime.backends.tensorrt.engine_cache import cached_engine
from sr_runtime.backends.tensorrt.engine_file import EngineInfo, read_engine, rebuild_command
from sr_runtime.backends.tensorrt.execution_slot import ExecutionSlot
from sr_runtime.backends.tensorrt.library import Log, open_library
from sr_runtime.backends.tensorrt.options import Kind, Shape
from sr_runtime.errors import ModelError, OutOfMemoryError, SRError

if TYPE_CHECKING:
    import tensorrt as trt

__all__ = ["TensorRTBackend"]

# One batch is computed while the other is copied, and written into its picture.
DEPTH = 2
# While the last tiles of one image are computed, the first of the next are copied.
IMAGES = 2
# A new shape is enqueued once and captured once: about 10 ms, at 6 million pixels a second.
SHAPE_COST = 1 << 16
# The share of the free memory for buffers; TensorRT allocates from the rest while it runs.
MEMORY_SHARE = 0.9


class TensorRTBackend(DeviceBackend):
    """An engine, and `DEPTH` slots, each with its own execution context and stream."""

    name: Kind = "tensorrt"
    captures_graphs = True
    """Whether the slots capture CUDA graphs."""
    shape_cost = SHAPE_COST

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        open_library(cls.name)
        return device_names()

    @staticmethod
    def precisions() -> tuple[str, ...]:
        return ("fp16",)

    def __init__(self, model: Path, *, device: str, precision: str) -> None:
        """Open a `.engine` file, or an ONNX file through the cache of engines.

        Raises:
            ModelError: The file is neither, or an engine for another GPU or TensorRT version; the
                message says what differs and has the command that builds it again.
            OutOfMemoryError: It does not fit into the GPU's memory.
        """
        self.device = device
        self.compute_dtype = precision
        if model.suffix.lower() == ".onnx":
            plan, engine_info = cached_engine(model, kind=self.name, device=device)
        else:
            plan, engine_info = read_engine(model)
        self.info = engine_info.model
        self._library = open_library(self.name)
        self._gpu = open_device(device)
        self._slots: list[ExecutionSlot] = []
        self._kernels: PixelKernels | None = None
        self._log = Log(self._library)
        self._turn = threading.Lock()
        try:
            with self._gpu.current():
                self._open(plan, engine_info)
        except BaseException:
            self.close()
            raise
        self._idle = deque(self._slots)

    def _open(self, plan: bytes, engine_info: EngineInfo) -> None:
        self._runtime = self._library.trt.Runtime(self._log.logger)
        # A version-compatible plan carries host code, its runtime. Plans are trusted anyway.
        self._runtime.engine_host_code_allowed = engine_info.version_compatible
        self._check_fits(plan, engine_info)
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            if self._log.out_of_memory:
                raise OutOfMemoryError(f"{self.device}: not enough memory to load the engine")
            raise ModelError(
                f"{self._library.name} cannot load the engine ({self._log.last_error}): "
                f"build it again here: {rebuild_command(engine_info)}"
            )
        if self.info.is_plain:
            self._kernels = PixelKernels(self._gpu)
        for _ in range(DEPTH):
            self._slots.append(self._new_slot())
        self.limits = _limits(engine_info, self._slots[0], self._gpu.free_memory(), self.shape_cost)

    def submit(self, batch: NDArray[Any]) -> "_PendingBatch":
        return _PendingBatch(self, batch)

    def _take_slot(self) -> ExecutionSlot:
        """An idle slot, or a new one where an interrupt lost one."""
        try:
            return self._idle.popleft()
        except IndexError:
            with self._gpu.current():
                self._slots.append(self._new_slot())
            return self._slots[-1]

    def _new_slot(self) -> ExecutionSlot:
        context = self._new_context()
        if context is None:
            raise self._log.failure("could not make an execution context")
        return ExecutionSlot(
            self._library,
            self._engine,
            context,
            self.info,
            self._gpu,
            self._log,
            self._kernels,
            captures=self.captures_graphs,
        )

    def _new_context(self) -> "trt.IExecutionContext | None":
        """An execution context without memory of its own."""
        return self._engine.create_execution_context(
            self._library.trt.ExecutionContextAllocationStrategy.USER_MANAGED
        )

    def _check_fits(self, plan: bytes, info: EngineInfo) -> None:
        """Raise ModelError, with the differences, for an engine of another TensorRT or GPU."""
        library, gpu = self._library, self._gpu
        differences = []
        if library.lean and not info.version_compatible:
            differences.append(
                "only tensorrt_lean is installed, and it is not --version-compatible"
            )
        elif not info.version_compatible and info.tensorrt != library.version:
            differences.append(
                f"it was built with TensorRT {info.tensorrt} and {library.version} is installed"
            )
        built, here = (
            tuple(map(int, capability.split(".")))
            for capability in (info.compute_capability or "0", gpu.compute_capability)
        )
        runs_here = {
            "none": info.gpu == gpu.name and built == here,
            "same": built == here,
            "ampere+": here >= (8, 0),
        }[info.hardware_compatible]
        if not runs_here:
            differences.append(
                f"it was built for {info.gpu} (compute capability {info.compute_capability}, "
                f"hardware compatibility {info.hardware_compatible}) and this is {gpu.name} "
                f"({gpu.compute_capability})"
            )
        if differences:
            raise ModelError(
                f"the engine does not run here: {'; '.join(differences)}: build it again here: "
                f"{rebuild_command(info)}"
            )

    def _start(self, slot: ExecutionSlot, batch: NDArray[Any]) -> None:
        """Queue a batch; one call at a time, while the device is current."""
        slot.start(batch)

    def shrink(self) -> None:
        with self._gpu.current():
            for slot in self._slots:
                slot.shrink()

    def close(self) -> None:
        with contextlib.ExitStack() as held:  # close all, even if one fails
            held.callback(self._gpu.close)
            held.enter_context(self._gpu.current())
            held.callback(self._drop_engine)
            if self._kernels is not None:
                held.callback(self._kernels.close)
            while self._slots:
                held.callback(self._slots.pop().close)

    def _drop_engine(self) -> None:
        # TensorRT wants the engine freed before its runtime.
        self._engine = self._runtime = None  # type: ignore[assignment]


class _PendingBatch:
    """A batch in a slot, which becomes idle again at the release."""

    def __init__(self, backend: TensorRTBackend, batch: NDArray[Any]) -> None:
        self._backend = backend
        self._slot: ExecutionSlot | None = None
        self._refused: SRError | None = None
        try:
            self._slot = backend._take_slot()
            # One start at a time, so that errors in the log belong to this batch.
            with backend._turn, backend._gpu.current():
                backend._start(self._slot, batch)
        except SRError as error:
            self._refused = error
        except BaseException:  # Ctrl-C: no pending batch will return the slot
            if self._slot is not None:
                backend._idle.append(self._slot)
            raise

    def result(self) -> NDArray[Any]:
        if self._refused is not None:
            raise self._refused
        assert self._slot is not None
        with self._backend._gpu.current():
            self._slot.wait()
        return self._slot.output()

    def release(self) -> None:
        if self._slot is None:
            return
        # Queued work uses the slot's buffers, even if the result was not requested.
        try:
            with contextlib.suppress(SRError), self._backend._gpu.current():
                self._slot.wait()
        finally:
            self._backend._idle.append(self._slot)


def _limits(info: EngineInfo, slot: ExecutionSlot, free: int, shape_cost: int) -> Limits:
    """Batch and tile within the profile, so that `DEPTH` batches fit into the free memory.

    The tile is as large as possible, because its halo is computed and thrown away: a halo of 24
    adds half of the work at 256, and a fifth at 512. Smaller tiles get a larger batch, with about
    as many pixels as the shape that the engine was optimised for: that keeps a GPU busy.
    """
    least, best, most = info.profile.min, info.profile.opt, info.profile.max

    def fits(batch: int, height: int, width: int) -> bool:
        needed = slot.memory_needed(Shape(batch, height, width))
        return DEPTH * needed <= MEMORY_SHARE * free

    height, width = most.height, most.width
    step = 8 * info.model.multiple_of
    while not fits(least.batch, height, width) and (height > least.height or width > least.width):
        height = max(least.height, height * 3 // 4 // step * step)
        width = max(least.width, width * 3 // 4 // step * step)
    batch = best.batch * best.height * best.width // (height * width)
    batch = max(least.batch, min(batch, most.batch))
    while batch > least.batch and not fits(batch, height, width):
        batch = max(least.batch, batch // 2)
    return Limits(
        pixels=info.model.is_plain,
        min_tile=(least.height, least.width),
        max_tile=(height, width),
        tile=max(height, width),
        batch=batch,
        fixed_batch=least.batch > 1,
        depth=DEPTH,
        images=IMAGES,
        shape_cost=shape_cost,
    )
