"""OpenVINO on the CPU, computing in FP32, or in BF16 where the processor supports it."""

import contextlib
import functools
from collections import deque
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sr_runtime.backends.base import DeviceBackend, UnreadableModelError, declared_limits
from sr_runtime.backends.fork import keep_in_children, used_before_fork, using
from sr_runtime.backends.importing import importing_an_engine
from sr_runtime.backends.out_of_memory import is_out_of_memory
from sr_runtime.backends.probe.facts import probe_info
from sr_runtime.backends.reason import last_line
from sr_runtime.backends.stated import stated_info
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError, SRError
from sr_runtime.tensor import check_outputs

with importing_an_engine():
    import openvino as ov
    from openvino.frontend import FrontEndManager

__all__ = ["OpenVINOBackend"]

# One batch is computed while the caller writes the other into its picture.
DEPTH = 2
# A new input shape takes about 0.04 s: measured, the time of a small network for as many pixels.
SHAPE_COST = 4096
# OpenVINO keeps compiled kernels, by default 5000 of them, which is a megabyte for each size of
# image that it has ever seen. A network has up to 15 different layers, so that this many serve the
# last few sizes. With 512 or with 16, an RRDBNet whose sizes alternate takes the same time within
# 5 %; with none it takes 30 % more.
KERNELS = 64

HINTS = {"fp32": ov.Type.f32, "bf16": ov.Type.bf16}


class OpenVINOBackend(DeviceBackend):
    """A compiled model and `DEPTH` asynchronous infer requests."""

    name = "openvino"

    @staticmethod
    def devices() -> tuple[str, ...]:
        _check_threads()
        return ("cpu",)

    @staticmethod
    def precisions() -> tuple[str, ...]:
        native = "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return ("bf16", "fp32") if native else ("fp32",)

    def __init__(self, model: Path, *, device: str, precision: str) -> None:
        if precision == "auto":
            precision = self.precisions()[0]
        try:
            # By name: left to choose, OpenVINO tries other formats, which complain on stderr.
            frontend = FrontEndManager().load_by_framework("onnx")
            network = frontend.convert(frontend.load(str(model)))
        except Exception as error:
            raise _load_error(error) from error
        if len(network.inputs) != 1 or not network.outputs:
            raise ModelError(
                f"not a super-resolution model: it has {len(network.inputs)} inputs and "
                f"{len(network.outputs)} outputs, expected 1 and at least 1"
            )
        self._network = network
        self._compiled = _compile(network, precision)
        self.device = device
        self.compute_dtype = precision
        self._idle: deque[ov.InferRequest] = deque()
        self._in_fp32: tuple[ov.CompiledModel, ov.InferRequest] | None = None
        self._dtype = network.input(0).element_type.to_dtype()
        shape = [
            None if side.is_dynamic else side.get_length()
            for side in network.input(0).partial_shape
        ]
        stated = network.has_rt_info("framework")
        metadata = network.get_rt_info("framework").astype(dict) if stated else {}
        metadata = {name: value.astype(str) for name, value in metadata.items()}
        self.info = stated_info(metadata, shape, self._dtype.name) or probe_info(
            model, self._run_in_fp32, shape, self._dtype.name
        )
        self._in_fp32 = None  # its memory is needed no more
        self.limits = declared_limits(shape, self.info, depth=DEPTH, shape_cost=SHAPE_COST)

    def submit(self, batch: NDArray[Any]) -> "_PendingBatch":
        return _PendingBatch(self, batch.astype(self._dtype, copy=False))

    def shrink(self) -> None:
        # A compiled model keeps the sizes of its largest shape. If that one did not fit, it asks
        # for them again with every other shape, and fails again.
        self._idle.clear()
        self._compiled = None

    def close(self) -> None:
        self._idle.clear()
        self._compiled = self._network = self._in_fp32 = None

    def _run_in_fp32(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        """All outputs, whatever precision the backend computes in."""
        try:
            if self._in_fp32 is None:
                compiled = _compile(self._network, "fp32")
                self._in_fp32 = compiled, compiled.create_infer_request()
            _, request = self._in_fp32
            request.infer([batch.astype(self._dtype, copy=False)])
            return [tensor.data.copy() for tensor in request.output_tensors]
        except (RuntimeError, MemoryError) as error:
            self._in_fp32 = None  # a failed request may be left half prepared
            raise _run_error(error) from error

    def _request(self) -> ov.InferRequest:
        """An idle request, or a new one: the first time, or where an interrupt lost one."""
        try:
            return self._idle.popleft()
        except IndexError:
            return self._new_request()

    def _new_request(self) -> ov.InferRequest:
        if self._compiled is None:  # after `shrink`
            self._compiled = _compile(self._network, self.compute_dtype)
        return self._compiled.create_infer_request()


class _PendingBatch:
    """A started infer request, which becomes idle again at the release."""

    def __init__(self, backend: OpenVINOBackend, batch: NDArray[Any]) -> None:
        self._backend = backend
        self._request: ov.InferRequest | None = None
        # share_inputs: OpenVINO reads the array itself, so it must live as long as this object.
        self._batch = batch
        self._refused: Exception | None = None
        self._done = False
        try:
            self._request = backend._request()
            self._request.start_async([batch], share_inputs=True)
        except (RuntimeError, MemoryError, SRError) as error:
            self._refused = error

    def result(self) -> NDArray[Any]:
        try:
            if self._refused is not None:
                raise self._refused
            assert self._request is not None
            self._request.wait()
        except (RuntimeError, MemoryError, SRError) as error:
            # A failed request may be left half prepared: it is not used again.
            self._request, self._refused, self._done = None, error, True
            if isinstance(error, SRError):
                raise
            raise _run_error(error) from error
        self._done = True
        outputs = [tensor.data for tensor in self._request.output_tensors]
        return check_outputs(outputs, self._backend.info.io, self._backend.info.output)

    def release(self) -> None:
        if not self._done:
            with contextlib.suppress(SRError):  # the result was not requested
                self.result()
        if self._request is not None:
            self._backend._idle.append(self._request)


@functools.cache
def _core() -> ov.Core:
    """The only core of the process, kept as long as the process lives.

    A core gives the thread that first uses it a stack for signals, and frees that stack together
    with itself. If it were freed in another thread, where a model was closed for instance, the
    next Ctrl-C would be a segmentation fault.
    """
    try:
        core = ov.Core()
        core.get_property("CPU", "FULL_DEVICE_NAME")  # loads the library for CPUs
    except Exception as error:  # a lack of memory or of file descriptors, for instance
        if is_out_of_memory(error):
            raise _load_error(error) from error
        raise BackendError(f"OpenVINO cannot be started ({last_line(error)})") from error
    keep_in_children(core)
    return core


def _check_threads() -> None:
    """Raise BackendError in a process that was forked after its parent compiled a model.

    OpenVINO keeps threads for the next model, and may wait in the child for those of the parent,
    which it does not have.
    """
    if used_before_fork("openvino"):
        raise BackendError(
            "this process was forked after its parent loaded a model, and OpenVINO would wait for "
            "the parent's threads: start processes by spawn, or use backend onnxruntime"
        )


def _compile(network: ov.Model, precision: str) -> ov.CompiledModel:
    config = {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "CPU_RUNTIME_CACHE_CAPACITY": str(KERNELS),
    }
    core = _core()
    using("openvino")
    try:
        return core.compile_model(network, "CPU", config)
    except Exception as error:
        raise _load_error(error) from error


def _load_error(error: Exception) -> SRError:
    """What an exception means while a model is loaded; OpenVINO's share no base of their own."""
    if is_out_of_memory(error):
        return OutOfMemoryError("not enough memory to load the model")
    return UnreadableModelError(f"not a readable ONNX model ({last_line(error)})")


def _run_error(error: Exception) -> SRError:
    if is_out_of_memory(error):
        return OutOfMemoryError(f"openvino: not enough memory for a tile ({last_line(error)})")
    return BackendError(f"openvino could not run the model ({last_line(error)})")
