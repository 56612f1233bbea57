"""ONNX Runtime on a GPU, by its CUDA provider, computing in the precision of the file."""

import math
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends.base import DeviceBackend, Limits
from sr_runtime.backends.cuda.driver import device_names, open_device
from sr_runtime.backends.onnxruntime.providers import cuda_missing, cuda_providers
from sr_runtime.backends.onnxruntime.session import (
    RecordingError,
    facts_of,
    open_session,
    ort,
    run_session,
    tensor_of,
)
from sr_runtime.backends.onnxruntime.stream_slot import StreamSlot, recorded_as
from sr_runtime.backends.probe import declared_limits, probe_info
from sr_runtime.errors import BackendError
from sr_runtime.model_info import IO, ModelInfo

__all__ = ["OnnxRuntimeCudaBackend"]

# One batch is copied, one computed, and one written into its picture by the caller.
DEPTH = 3
# While the last tiles of one image are computed, the first of the next are copied.
IMAGES = 2
# Every convolution chooses its kernel again when the shape changes: an estimated 0.05 s for 23
# blocks, at 5 million pixels a second.
SHAPE_COST = 1 << 18
TILE_STEP = 32
# Tiles are as large as memory allows, because a tile's halo is computed and thrown away: a halo of
# 24 adds a fifth at 512, a tenth at 1024. At ×4 a tensor of such a tile has 2³⁰ values, and 2³¹ are
# too many. It fills the GPU alone, so batches would gain nothing.
LARGEST_TILE = 1024
# The share of the free memory for weights and activations.
ARENA_SHARE = 0.8
# What an LR pixel of RRDBNet ×4 takes, mostly at the size of the output.
BYTES_PER_PIXEL = {"fp16": 8192, "fp32": 16384}

PRECISIONS = {"float16": "fp16", "float32": "fp32"}


class OnnxRuntimeCudaBackend(DeviceBackend):
    """A session, and `DEPTH` slots that take turns to run it."""

    name = "onnxruntime"

    @staticmethod
    def devices() -> tuple[str, ...]:
        """BackendError with the reason if there is none."""
        if reason := cuda_missing():
            raise BackendError(reason)
        return device_names()

    @staticmethod
    def precisions() -> tuple[str, ...]:
        return tuple(PRECISIONS.values())

    def __init__(self, model: Path, *, device: str, precision: str) -> None:
        """`precision` is the file's own, or "auto"; BackendError for another."""
        self.device = device
        self._ordinal = int(device.removeprefix("cuda:"))
        self._input, stated = facts_of(model)
        self._io: IO = "float32" if stated is None else stated.io
        self._fixed = None not in self._input.shape
        try:
            # The kernels of a model of one shape can be recorded, and then launched all at once.
            self._start(model, stated, precision, record=self._fixed)
        except RecordingError:
            # A node runs only on the CPU, or another thread used the GPU meanwhile.
            self._start(model, stated, precision, record=False)

    def _start(
        self, model: Path, stated: ModelInfo | None, precision: str, *, record: bool
    ) -> None:
        """Open the session and its slots; with `record`, record their kernels too."""
        self._idle: deque[StreamSlot] = deque()  # frees a failed attempt's slots and session
        with ExitStack() as held:
            gpu = open_device(self.device)
            held.callback(gpu.close)
            with gpu.current():
                free = gpu.free_memory()
            weights = self._input.dtype if stated is None else stated.weights_dtype
            session = self._open(model, free, fp32=weights == "float32", record=record)
            probe = partial(run_session, session, self._input, self._io, options=recorded_as(None))
            self.info = stated or probe_info(probe, self._input.shape, self._input.dtype)
            self.compute_dtype = _own_precision(self.info, precision)
            self.limits = self._limits(free)
            outputs = session.get_outputs()[: 2 if self._io == "uint8" else 1]
            tensors = [self._input, *map(tensor_of, outputs)]
            turn = threading.Lock()
            for number in range(DEPTH):
                slot = StreamSlot(session, turn, gpu, self._ordinal, tensors, self.info, number)
                held.callback(slot.close)
                self._idle.append(slot)
            if record:
                # Each slot records in its first run; nothing else may use the GPU meanwhile.
                shape = [side for side in self._input.shape if side is not None]
                for slot in self._idle:
                    try:
                        slot.start(np.zeros(shape, self._input.dtype)).result()
                    except BackendError as error:
                        raise RecordingError(str(error)) from error
            self._held = held.pop_all()

    def submit(self, batch: NDArray[Any]) -> "_PendingBatch":
        slot = self._idle.popleft()
        try:
            return _PendingBatch(self._idle, slot, slot.start(batch))
        except BaseException:  # Ctrl-C: no pending batch will return the slot
            self._idle.append(slot)
            raise

    def shrink(self) -> None:
        # A fixed shape has no smaller one, and recorded kernels hold the buffers' addresses.
        if not self._fixed:
            for slot in self._idle:
                slot.shrink()

    def close(self) -> None:
        self._held.close()
        self._idle.clear()  # the last slot frees the session and its memory

    def _open(self, model: Path, free: int, *, fp32: bool, record: bool) -> ort.InferenceSession:
        # The session never gives memory back, and the slots need some too.
        memory = int(ARENA_SHARE * free)
        options = ort.SessionOptions()
        # With many shapes it would hold a block of memory for each of them.
        options.enable_mem_pattern = self._fixed
        providers = cuda_providers(self._ordinal, fp32=fp32, memory=memory, graph=record)
        return open_session(model, providers, options)

    def _limits(self, free: int) -> Limits:
        pixels = int(ARENA_SHARE * free) // BYTES_PER_PIXEL[self.compute_dtype]
        side = math.isqrt(pixels) // TILE_STEP * TILE_STEP
        return replace(
            declared_limits(self._input.shape, self._io, depth=DEPTH, shape_cost=SHAPE_COST),
            tile=max(TILE_STEP, min(side, LARGEST_TILE)),
            images=IMAGES,
            tile_step=TILE_STEP,
        )


class _PendingBatch:
    """A batch in a slot, which becomes idle again at the release."""

    def __init__(
        self, idle: deque[StreamSlot], slot: StreamSlot, future: Future[NDArray[Any]]
    ) -> None:
        self._idle, self._slot, self._future = idle, slot, future

    def result(self) -> NDArray[Any]:
        return self._future.result()

    def release(self) -> None:
        try:
            self._future.exception()  # waits
        finally:
            self._idle.append(self._slot)


def _own_precision(info: ModelInfo, wanted: str) -> str:
    """The precision of the file's weights; BackendError if another is wanted."""
    own = PRECISIONS[info.weights_dtype]
    if wanted not in ("auto", own):
        option = " --precision fp16" if wanted == "fp16" else ""
        raise BackendError(
            f"precision {wanted} is not available: the file is {own}, and a GPU computes in the "
            f"precision of the file: export one: python -m sr_export onnx CHECKPOINT{option} "
            "-o MODEL.onnx"
        )
    return own
