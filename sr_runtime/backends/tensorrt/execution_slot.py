"""One place for a batch in an engine: execution context, stream, buffers and CUDA graph."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends.cuda.memory import Device, DeviceMemory, Graph, TensorMemory
from sr_runtime.backends.cuda.pixels import PixelBuffers, PixelKernels
from sr_runtime.backends.tensorrt.library import Library, Log
from sr_runtime.backends.tensorrt.options import Shape, tensor_shape
from sr_runtime.errors import ModelError, SRError
from sr_runtime.model_info import ModelInfo
from sr_runtime.tensor import check_outputs

if TYPE_CHECKING:
    import tensorrt as trt

__all__ = ["ExecutionSlot"]


class ExecutionSlot:
    """Runs one batch at a time. Call its methods while the device is current."""

    def __init__(
        self,
        library: Library,
        engine: "trt.ICudaEngine",
        context: "trt.IExecutionContext",
        info: ModelInfo,
        device: Device,
        log: Log,
        kernels: PixelKernels | None,
        *,
        captures: bool,
    ) -> None:
        """Args:
        context: It has no memory of its own: a slot's is sized for the shapes in use, and
            TensorRT's own for the largest.
        kernels: They convert batches of integer pixels; None: the model does it itself.
        captures: Whether to capture CUDA graphs; False if the library does it.
        """
        api = library.trt
        self._device = device
        self._log = log
        self._context = context
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        inputs = [n for n in names if engine.get_tensor_mode(n) == api.TensorIOMode.INPUT]
        if len(inputs) != 1:
            raise ModelError(
                f"not a super-resolution model: it has {len(inputs)} inputs, expected 1"
            )
        # The picture first; a uint8 model's second output says which images are finite.
        names.sort(key=lambda name: len(engine.get_tensor_shape(name)), reverse=True)
        self._input, *self._outputs = (
            TensorMemory(name, api.nptype(engine.get_tensor_dtype(name)), device)
            for name in (*inputs, *(name for name in names if name not in inputs))
        )
        self._info = info
        self._pixels = (
            None
            if kernels is None
            else PixelBuffers(kernels, device, self._input, self._outputs[0])
        )
        self._converts: PixelBuffers | None = None  # those of the current batch
        # What context and buffers are prepared for.
        self._shape: tuple[int, ...] = ()
        self._dtype: np.dtype[Any] | None = None
        self._stream = device.stream()
        self._scratch: DeviceMemory | None = None
        self._graph: Graph | None = None
        self._enqueued = False  # whether the current shape has run without a graph
        self._graphs = captures  # until a capture fails

    def memory_needed(self, shape: Shape) -> int:
        """Bytes of GPU memory that a batch of this shape takes."""
        scratch = self._set_shape(tensor_shape(shape, self._info))
        self._shape = ()  # the context has this shape now, but the buffers do not
        pixel = 0 if self._pixels is None else np.dtype(np.uint16).itemsize
        return scratch + sum(
            math.prod(self._shape_of(tensor)) * (tensor.dtype.itemsize + pixel)
            for tensor in (self._input, *self._outputs)
        )

    def start(self, batch: NDArray[Any]) -> None:
        """Queue a batch: copy in, compute, copy out."""
        self.wait()  # something is queued only if Ctrl-C interrupted an earlier wait
        self._log.clear()
        if (batch.shape, batch.dtype) != (self._shape, self._dtype):
            self._prepare(batch)
        np.copyto((self._converts or self._input).array, batch)
        if self._graph is None and self._enqueued and self._graphs:
            self._graph = self._capture()
            self._graphs = self._graph is not None
        if self._graph is not None:
            self._graph.launch()
        else:
            self._queue()
            self._enqueued = True

    def wait(self) -> None:
        """Wait for the queued work; BackendError if it failed."""
        self._stream.wait()

    def output(self) -> NDArray[Any]:
        """The finished batch's picture: a view of host memory, valid until the next `start`.

        Raises NonFiniteError if it holds NaN or infinity and cannot show it.
        """
        if self._converts is not None:
            return check_outputs(self._converts.outputs(), "uint8")
        return check_outputs([tensor.array for tensor in self._outputs], self._info.io)

    def shrink(self) -> None:
        """Wait for the queued work and free the buffers."""
        self.wait()
        self._drop_graph()
        self._shape = ()
        for tensor in (self._input, *self._outputs):
            tensor.free()
        if self._pixels is not None:
            self._pixels.free()
        self._free_scratch()

    def close(self) -> None:
        """Wait for the queued work and free everything."""
        self.shrink()
        self._context = None  # type: ignore[assignment]
        self._stream.close()

    def _prepare(self, batch: NDArray[Any]) -> None:
        """Prepare context and buffers for batches like this one."""
        self._drop_graph()  # a graph contains the addresses and the shape
        self._shape, shape = (), batch.shape
        self._converts = self._pixels if batch.dtype.kind == "u" else None
        if self._converts is not None:
            shape = tensor_shape(Shape(*shape[:3]), self._info)
        if scratch := self._set_shape(shape):
            if self._scratch is None or self._scratch.nbytes < scratch:
                self._free_scratch()
                self._scratch = self._device.allocate(scratch)
            self._context.set_device_memory(self._scratch.address, self._scratch.nbytes)
        for tensor in (self._input, *self._outputs):
            tensor.reserve(self._shape_of(tensor), on_host=self._converts is None)
            if not self._context.set_tensor_address(tensor.name, tensor.address):
                raise self._log.failure(f"refused a buffer for {tensor.name}")
        if self._converts is not None:
            self._converts.reserve(batch.shape, batch.dtype)
        self._shape, self._dtype = batch.shape, batch.dtype

    def _set_shape(self, shape: tuple[int, ...]) -> int:
        """Set the context's input shape; return the bytes of scratch memory that it needs."""
        if not self._context.set_input_shape(self._input.name, shape):
            raise self._log.failure(f"does not take {'×'.join(map(str, shape))} in this engine")
        return int(self._context.update_device_memory_size_for_shapes())

    def _shape_of(self, tensor: TensorMemory) -> tuple[int, ...]:
        return self._context.get_tensor_shape(tensor.name)[:]

    def _free_scratch(self) -> None:
        if self._scratch is not None:
            self._scratch.free()
            self._scratch = None

    def _queue(self) -> None:
        (self._converts or self._input).upload(self._stream)
        if not self._context.execute_async_v3(self._stream.handle):
            raise self._log.failure("could not run the engine")
        for tensor in self._outputs if self._converts is None else [self._converts]:
            tensor.download(self._stream)

    def _capture(self) -> Graph | None:
        """Capture the work of a batch as a graph; None if that is not possible."""
        if not self._stream.begin_capture():
            return None
        try:
            self._queue()
        except BaseException as error:  # Ctrl-C too: the stream would record for ever
            if graph := self._stream.end_capture():
                graph.close()
            if isinstance(error, SRError):
                return None
            raise
        return self._stream.end_capture()

    def _drop_graph(self) -> None:
        self._enqueued = False
        if self._graph is not None:
            self._graph.close()
            self._graph = None
