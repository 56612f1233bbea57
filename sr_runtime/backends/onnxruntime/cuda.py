"""ONNX Runtime on a GPU, by its CUDA provider, computing in the precision of the file."""

import math
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends.base import DeviceBackend, DoneBatch, Limits, declared_limits
from sr_runtime.backends.cuda.driver import device_names, open_device
from sr_runtime.backends.cuda.pixels import PixelKernels
from sr_runtime.backends.onnxruntime.providers import cuda_missing, cuda_providers, shrinking
from sr_runtime.backends.onnxruntime.session import (
    PRECISIONS,
    RecordingError,
    facts_of,
    open_session,
    ort,
    run_session,
    tensor_of,
)
from sr_runtime.backends.onnxruntime.stream_slot import StreamSlot, recorded_as
from sr_runtime.backends.probe.facts import probe_info
from sr_runtime.errors import BackendError, OutOfMemoryError, SRError
from sr_runtime.model_info import ModelInfo

__all__ = ["OnnxRuntimeCudaBackend"]

# One batch is copied, one computed, and one written into its picture by the caller.
DEPTH = 3
# While the last tiles of one image are computed, the first of the next are copied.
IMAGES = 2
# Every convolution chooses its kernel again when the shape changes, since ONNX Runtime keeps only
# the last one: 2.1 ms for each of RRDB-23's 351 on an H200, which computes 3.9 million pixels a
# second.
SHAPE_COST = 3 << 20
# Nine sides from 512 to 1024: a folder of photos has few tile shapes.
TILE_STEP = 64
# Tiles are as large as memory allows, because a tile's halo is computed and thrown away: a halo of
# 24 adds a fifth at 512, a tenth at 1024. At ×4 a tensor of such a tile has 2³⁰ values, and 2³¹ are
# too many. One such tile fills the GPU, so batches would gain nothing.
LARGEST_TILE = 1024
# The share of the free memory for weights and activations.
ARENA_SHARE = 0.8
# What an LR pixel of RRDBNet ×4 takes, mostly at the size of the output.
BYTES_PER_PIXEL = {"fp16": 8192, "fp32": 16384}


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
        self._fixed = None not in self._input.shape
        # The kernels of a model of one shape can be recorded, and then launched all at once, unless
        # a node runs only on the CPU, or another thread used the GPU meanwhile.
        with suppress(RecordingError):
            self._start(model, stated, precision, record=self._fixed)
            return
        # Not while the error is handled, which would keep the failed session and its memory.
        self._start(model, stated, precision, record=False)

    def _start(
        self, model: Path, stated: ModelInfo | None, precision: str, *, record: bool
    ) -> None:
        """Open the session and its slots; with `record`, record their kernels too."""
        slots: list[StreamSlot] = []
        with ExitStack() as held:
            gpu = open_device(self.device)
            held.callback(gpu.close)
            with gpu.current():
                free = gpu.free_memory()
            weights = self._input.dtype if stated is None else stated.weights_dtype
            session = self._open(model, free, fp32=weights == "float32", record=record)
            run = partial(run_session, session, self._input)
            probe = partial(run, options=recorded_as(None))
            self.info = stated or probe_info(model, probe, self._input.shape, self._input.dtype)
            self.compute_dtype = _own_precision(self.info, precision)
            self.limits = self._limits(free)
            first = self.info.output
            outputs = session.get_outputs()[first : first + (2 if self.info.io == "uint8" else 1)]
            tensors = [self._input, *map(tensor_of, outputs)]
            turn = threading.Lock()
            kernels = PixelKernels(gpu) if self.info.is_plain else None
            if kernels is not None:
                held.callback(kernels.close)
            new_slot = partial(
                StreamSlot, session, turn, gpu, self._ordinal, tensors, self.info, kernels
            )
            for number in range(DEPTH):
                slots.append(new_slot(number))
                held.callback(slots[-1].close)
            if record:
                # Each slot records in its first run; nothing else may use the GPU meanwhile.
                for slot in slots:
                    try:
                        slot.record(self._small_batch().shape).result()
                    except BackendError as error:
                        raise RecordingError(str(error)) from error
            self._slots, self._idle = slots, deque(slots)
            self._run, self._new_slot = run, new_slot
            self._held = held.pop_all()

    def submit(self, batch: NDArray[Any]) -> "_PendingBatch | DoneBatch":
        try:
            slot = self._take_slot()
        except SRError as error:
            return DoneBatch(error)
        try:
            return _PendingBatch(self._idle, slot, slot.start(batch))
        except BaseException:  # Ctrl-C: no pending batch will return the slot
            self._idle.append(slot)
            raise

    def _take_slot(self) -> StreamSlot:
        """An idle slot, or a new one where an interrupt lost one."""
        try:
            return self._idle.popleft()
        except IndexError:
            slot = self._new_slot(None)
            self._slots.append(slot)
            self._held.callback(slot.close)
            return slot

    def shrink(self) -> None:
        # A fixed shape has no smaller one, and recorded kernels hold the buffers' addresses.
        if self._fixed:
            return
        for slot in self._slots:
            slot.shrink()
        # The arena shrinks only at the end of a run. If even this one finds no memory, the next
        # batch will say so.
        with suppress(OutOfMemoryError):
            self._run(self._small_batch(), options=shrinking(self._ordinal))

    def close(self) -> None:
        self._held.close()
        self._slots.clear()
        self._idle.clear()
        del self._run, self._new_slot  # frees the session and its memory

    def _small_batch(self) -> NDArray[Any]:
        """Black in the model's fixed shape, or a small one if that is dynamic."""
        side = TILE_STEP * self.info.multiple_of
        color_axis = 3 if self.info.io == "uint8" or self.info.layout == "NHWC" else 1
        usual = [1, side, side, side]
        usual[color_axis] = self.info.in_channels
        shape = [
            own if fixed is None else fixed
            for fixed, own in zip(self._input.shape, usual, strict=True)
        ]
        return np.zeros(shape, self._input.dtype)

    def _open(self, model: Path, free: int, *, fp32: bool, record: bool) -> ort.InferenceSession:
        # The slots need some memory too.
        memory = int(ARENA_SHARE * free)
        options = ort.SessionOptions()
        # Weights in the arena's blocks would keep them from being given back.
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
        # With many shapes it would hold a block of memory for each of them.
        options.enable_mem_pattern = self._fixed
        providers = cuda_providers(self._ordinal, fp32=fp32, memory=memory, graph=record)
        return open_session(model, providers, options)

    def _limits(self, free: int) -> Limits:
        pixels = int(ARENA_SHARE * free) // BYTES_PER_PIXEL[self.compute_dtype]
        side = math.isqrt(pixels) // TILE_STEP * TILE_STEP
        return replace(
            declared_limits(self._input.shape, self.info, depth=DEPTH, shape_cost=SHAPE_COST),
            tile=max(TILE_STEP, min(side, LARGEST_TILE)),
            images=IMAGES,
            tile_step=TILE_STEP,
            pixels=self.info.is_plain,
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
