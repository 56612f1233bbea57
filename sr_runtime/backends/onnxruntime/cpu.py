"""ONNX Runtime on the CPU, computing in FP32."""

from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sr_runtime.backends.base import DeviceBackend, DoneBatch, declared_limits
from sr_runtime.backends.onnxruntime.session import info_of, input_of, open_session, run_session
from sr_runtime.backends.probe.facts import probe_info
from sr_runtime.errors import SRError
from sr_runtime.tensor import check_outputs

__all__ = ["OnnxRuntimeBackend"]


class OnnxRuntimeBackend(DeviceBackend):
    """A session. `submit` computes at once, so `depth` is 1."""

    name = "onnxruntime"

    @staticmethod
    def devices() -> tuple[str, ...]:
        return ("cpu",)

    @staticmethod
    def precisions() -> tuple[str, ...]:
        return ("fp32",)

    def __init__(self, model: Path, *, device: str, precision: str) -> None:
        self._session = open_session(model, [("CPUExecutionProvider", {})])
        self.device = device
        self.compute_dtype = precision
        self._input = source = input_of(self._session)
        run = partial(run_session, self._session, source)
        self.info = info_of(self._session, source) or probe_info(
            model, run, source.shape, source.dtype
        )
        self.limits = declared_limits(source.shape, self.info, depth=1)

    def submit(self, batch: NDArray[Any]) -> DoneBatch:
        try:
            outputs = run_session(self._session, self._input, batch)
            return DoneBatch(check_outputs(outputs, self.info.io, self.info.output))
        except SRError as error:
            return DoneBatch(error)

    def shrink(self) -> None:
        """Nothing to free: a session manages its memory itself."""

    def close(self) -> None:
        self._session = None
