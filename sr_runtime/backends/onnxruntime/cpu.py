"""ONNX Runtime on the CPU, computing in FP32."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sr_runtime.backends.base import DeviceBackend, DoneBatch
from sr_runtime.backends.onnxruntime.session import info_of, input_of, open_session, run_session
from sr_runtime.backends.probe import declared_limits, probe_info
from sr_runtime.errors import SRError
from sr_runtime.model_info import IO

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
        self._input = input_of(self._session)
        info = info_of(self._session)
        self._io: IO = "float32" if info is None else info.io
        self.info = info or probe_info(self._run, self._input.shape, self._input.dtype)
        self.limits = declared_limits(self._input.shape, self._io, depth=1)

    def submit(self, batch: NDArray[Any]) -> DoneBatch:
        try:
            return DoneBatch(self._run(batch))
        except SRError as error:
            return DoneBatch(error)

    def shrink(self) -> None:
        """Nothing to free: a session manages its memory itself."""

    def close(self) -> None:
        self._session = None

    def _run(self, batch: NDArray[Any]) -> NDArray[Any]:
        return run_session(self._session, self._input, self._io, batch)
