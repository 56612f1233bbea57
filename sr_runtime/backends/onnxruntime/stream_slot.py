"""One batch in flight through an ONNX Runtime session on a GPU.

The session reads and writes device memory that the slot owns. Copies between it and the host go
through pinned memory, on the slot's own stream, while the session computes another slot's batch.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from numpy.typing import NDArray

from sr_runtime.backends.cuda.memory import Device, TensorMemory
from sr_runtime.backends.cuda.pixels import PixelBuffers, PixelKernels
from sr_runtime.backends.onnxruntime.session import Tensor, ort, run_error
from sr_runtime.errors import ModelError
from sr_runtime.model_info import ModelInfo
from sr_runtime.tensor import check_outputs

__all__ = ["StreamSlot", "recorded_as"]

# What older and newer versions say when an output does not fit its buffer.
WRONG_SIZE = ("re-use buffer", "computed output shape")
MEMORY = "cuda"  # ONNX Runtime's name for the memory it is given


class StreamSlot:
    """A thread, a stream for copies, and the buffers of one batch."""

    def __init__(
        self,
        session: ort.InferenceSession,
        turn: threading.Lock,
        gpu: Device,
        ordinal: int,
        tensors: Sequence[Tensor],
        info: ModelInfo,
        kernels: PixelKernels | None,
        number: int | None,
    ) -> None:
        """Prepare a slot.

        Args:
            turn: Shared by the slots of a session; only the slot that holds it computes.
            tensors: The model's input and its picture; for a uint8 model also `finite`.
            kernels: They convert batches of integer pixels; None: the model does it itself.
            number: Identifies this slot's recorded kernels, in a session that records; None: its
                kernels are launched one by one.
        """
        self._session, self._turn, self._gpu, self._info = session, turn, gpu, info
        self._ordinal = ordinal
        self._memory = [TensorMemory(tensor.name, tensor.dtype, gpu) for tensor in tensors]
        self._pixels = None if kernels is None else PixelBuffers(kernels, gpu, *self._memory)
        self._recorded = recorded_as(number)
        with gpu.current():
            self._copies = gpu.stream()
        self._thread = ThreadPoolExecutor(1)

    def start(self, batch: NDArray[Any]) -> Future[NDArray[Any]]:
        """Start to compute a batch; the result is valid until the next start."""
        return self._thread.submit(self._compute, batch)

    def record(self, shape: tuple[int, ...]) -> Future[None]:
        """Record the kernels of a model that takes only batches of this shape."""
        return self._thread.submit(self._record, shape)

    def shrink(self) -> None:
        """Wait for the batch being processed and free the buffers until the next start."""
        self._thread.submit(self._free).result()

    def close(self) -> None:
        """Wait for the batch being processed and free everything."""
        self._thread.shutdown()
        self._free()
        with self._gpu.current():
            self._copies.close()

    def _compute(self, batch: NDArray[Any]) -> NDArray[Any]:
        source, *targets = self._memory
        pixels = self._pixels if batch.dtype.kind == "u" else None
        with self._gpu.current():
            if pixels is None:
                self._reserve(batch.shape)
            else:
                images, height, width, _ = batch.shape
                self._reserve((images, self._info.in_channels, height, width), on_host=False)
                pixels.reserve(batch.shape, batch.dtype)
            sent = pixels or source
            sent.array[...] = batch  # converts to float16 where the model takes that
            sent.upload(self._copies)
            self._copies.wait()
            self._run()
            for fetched in [pixels] if pixels else targets:
                fetched.download(self._copies)
            self._copies.wait()
        if pixels is not None:
            return check_outputs(pixels.outputs(), "uint8")
        return check_outputs([target.array for target in targets], self._info.io)

    def _free(self) -> None:
        with self._gpu.current():
            for memory in self._memory:
                memory.free()
            if self._pixels is not None:
                self._pixels.free()

    def _record(self, shape: tuple[int, ...]) -> None:
        with self._gpu.current():
            self._reserve(shape, on_host=False)
            self._run()

    def _reserve(self, shape: tuple[int, ...], *, on_host: bool = True) -> None:
        """Reserve memory for an input of `shape` and its outputs."""
        top = 1 if self._info.io == "uint8" or self._info.layout == "NHWC" else 2
        sides = tuple(self._info.scale * side for side in shape[top : top + 2])
        shapes = (shape, shape[:top] + sides + shape[top + 2 :], shape[:1])
        for memory, needed in zip(self._memory, shapes, strict=False):
            memory.reserve(needed, on_host=on_host)

    def _run(self) -> None:
        """Compute from device memory to device memory; returns when it is done."""
        try:
            # It opens streams and cuBLAS, for which there may be no memory either.
            binding = self._session.io_binding()
            for number, memory in enumerate(self._memory):
                bind = binding.bind_output if number else binding.bind_input
                bind(memory.name, MEMORY, self._ordinal, memory.dtype, memory.shape, memory.address)
            with self._turn:
                self._session.run_with_iobinding(binding, self._recorded)
        except Exception as error:
            if any(words in str(error) for words in WRONG_SIZE):
                raise ModelError(
                    "the model's output has another size than expected: its facts (scale "
                    f"{self._info.scale}, multiple_of {self._info.multiple_of}) are wrong"
                ) from error
            raise run_error(error) from error


def recorded_as(number: int | None) -> ort.RunOptions:
    """Options of a run whose kernels are recorded under a number; None: not recorded.

    Only a session that records reads them. Recorded kernels hold the addresses of their buffers,
    so every slot has its own number.
    """
    options = ort.RunOptions()
    options.add_run_config_entry("gpu_graph_id", str(-1 if number is None else number))
    return options
