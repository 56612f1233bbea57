"""One place for a batch in an engine: execution context, stream, buffers and CUDA graph."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends.cuda.memory import Device, DeviceMemory, Graph, PinnedMemory
from sr_runtime.backends.tensorrt.library import Log, trt
from sr_runtime.backends.tensorrt.options import Shape, tensor_shape
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError, SRError
from sr_runtime.model_info import ModelInfo

__all__ = ["ExecutionSlot"]


class _Buffer:
    """GPU memory that grows with the largest shape; the old memory is freed first."""

    def __init__(self) -> None:
        self.memory: DeviceMemory | None = None

    def reserve(self, device: Device, nbytes: int) -> DeviceMemory:
        if self.memory is None or self.memory.nbytes < nbytes:
            self.free()
            self.memory = device.allocate(nbytes)
        return self.memory

    def free(self) -> None:
        if self.memory is not None:
            self.memory.free()
            self.memory = None


class _Tensor:
    """An input or output of the engine, and its buffers on the host and the GPU."""

    def __init__(self, engine: trt.ICudaEngine, name: str) -> None:
        self.name = name
        self.is_input = engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT
        self.dimensions = len(engine.get_tensor_shape(name))
        self.dtype: np.dtype[Any] = np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
        self.shape: tuple[int, ...] = ()
        self.buffer = _Buffer()
        self.host: PinnedMemory | None = None

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def array(self) -> NDArray[Any]:
        """The host buffer as an array of the tensor's shape; a view."""
        assert self.host is not None
        return self.host.array[: self.nbytes].view(self.dtype).reshape(self.shape)

    def free_host(self) -> None:
        if self.host is not None:
            self.host.free()
            self.host = None


class ExecutionSlot:
    """Runs one batch at a time. Call its methods while the device is current."""

    def __init__(self, engine: trt.ICudaEngine, device: Device, log: Log) -> None:
        self._device = device
        self._log = log
        # User-managed memory is sized for the shapes in use; TensorRT's own for the largest.
        self._context = engine.create_execution_context(
            trt.ExecutionContextAllocationStrategy.USER_MANAGED
        )
        if self._context is None:
            raise self._failure("could not make an execution context")
        tensors = [
            _Tensor(engine, engine.get_tensor_name(index)) for index in range(engine.num_io_tensors)
        ]
        inputs = [tensor for tensor in tensors if tensor.is_input]
        if len(inputs) != 1:
            raise ModelError(
                f"not a super-resolution model: it has {len(inputs)} inputs, expected 1"
            )
        self._input = inputs[0]
        # The picture first; a uint8 model's second output says which images are finite.
        self._outputs = sorted(
            (tensor for tensor in tensors if not tensor.is_input),
            key=lambda tensor: -tensor.dimensions,
        )
        self._stream = device.stream()
        self._scratch = _Buffer()
        self._graph: Graph | None = None
        self._enqueued = False  # whether the current shape has run without a graph
        self._graphs = True  # whether the engine can be captured

    def memory_needed(self, shape: Shape, info: ModelInfo) -> int:
        """Bytes of GPU memory that a batch of this shape takes."""
        scratch = self._set_shape(tensor_shape(shape, info))
        self._input.shape = ()  # the context has this shape now, but the buffers do not
        return scratch + sum(
            math.prod(self._shape_of(tensor)) * tensor.dtype.itemsize
            for tensor in (self._input, *self._outputs)
        )

    def start(self, batch: NDArray[Any]) -> None:
        """Queue a batch: copy in, compute, copy out."""
        self.wait()  # something is queued only if Ctrl-C interrupted an earlier wait
        self._log.clear()
        if batch.shape != self._input.shape:
            self._prepare(batch.shape)
        np.copyto(self._input.array(), batch)
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

    def outputs(self) -> list[NDArray[Any]]:
        """The finished batch's outputs: views of host buffers, valid until the next `start`."""
        return [tensor.array() for tensor in self._outputs]

    def shrink(self) -> None:
        """Wait for the queued work and free the GPU memory."""
        self.wait()
        self._drop_graph()
        self._input.shape = ()
        for tensor in (self._input, *self._outputs):
            tensor.buffer.free()
        self._scratch.free()

    def close(self) -> None:
        """Wait for the queued work and free everything."""
        self.shrink()
        for tensor in (self._input, *self._outputs):
            tensor.free_host()
        self._context = None  # type: ignore[assignment]
        self._stream.close()

    def _prepare(self, shape: tuple[int, ...]) -> None:
        """Prepare context and buffers for a new shape."""
        self._drop_graph()  # a graph contains the addresses and the shape
        self._input.shape = ()
        scratch = self._set_shape(shape)
        if scratch:
            memory = self._scratch.reserve(self._device, scratch)
            self._context.set_device_memory(memory.address, memory.nbytes)
        for tensor in (*self._outputs, self._input):
            sides = self._shape_of(tensor)
            nbytes = math.prod(sides) * tensor.dtype.itemsize
            memory = tensor.buffer.reserve(self._device, nbytes)
            if tensor.host is None or len(tensor.host.array) < nbytes:
                tensor.free_host()
                tensor.host = self._device.allocate_pinned(nbytes)
            if not self._context.set_tensor_address(tensor.name, memory.address):
                raise self._failure(f"refused a buffer for {tensor.name}")
            tensor.shape = sides  # the input comes last: its shape marks the slot as ready

    def _set_shape(self, shape: tuple[int, ...]) -> int:
        """Set the context's input shape; return the bytes of scratch memory that it needs."""
        if not self._context.set_input_shape(self._input.name, shape):
            raise self._failure(f"does not take {'×'.join(map(str, shape))} in this engine")
        return int(self._context.update_device_memory_size_for_shapes())

    def _shape_of(self, tensor: _Tensor) -> tuple[int, ...]:
        return self._context.get_tensor_shape(tensor.name)[:]

    def _queue(self) -> None:
        tensor = self._input
        assert tensor.buffer.memory is not None
        assert tensor.host is not None
        self._stream.upload(tensor.buffer.memory, tensor.host, tensor.nbytes)
        if not self._context.execute_async_v3(self._stream.handle):
            raise self._failure("could not run the engine")
        for tensor in self._outputs:
            assert tensor.buffer.memory is not None
            assert tensor.host is not None
            self._stream.download(tensor.host, tensor.buffer.memory, tensor.nbytes)

    def _capture(self) -> Graph | None:
        """Capture the work of a batch as a graph; None if that is not possible."""
        if not self._stream.begin_capture():
            return None
        try:
            self._queue()
        except SRError:
            self._stream.end_capture()
            return None
        return self._stream.end_capture()

    def _drop_graph(self) -> None:
        self._enqueued = False
        if self._graph is not None:
            self._graph.close()
            self._graph = None

    def _failure(self, what: str) -> BackendError | OutOfMemoryError:
        if self._log.out_of_memory:
            return OutOfMemoryError(f"tensorrt: not enough memory ({self._log.last_error})")
        return BackendError(f"tensorrt {what} ({self._log.last_error})")
