"""ONNX Runtime on the CPU, computing in FP32."""

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends.foreign import declared_limits, probe_info
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError, SRError
from sr_runtime.model_info import IO, ModelInfo
from sr_runtime.tensor import picture_of


def _installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if _installed("onnxruntime") and _installed("onnxruntime-gpu"):
    raise ImportError(
        "onnxruntime and onnxruntime-gpu are both installed and overwrite each other's files: "
        "pip uninstall both, then install one of the extras cpu and gpu"
    )

import onnxruntime as ort  # noqa: E402 - a mixed installation must be named before it is loaded

__all__ = ["OnnxRuntimeBackend"]


class OnnxRuntimeBackend:
    """A session; `submit` computes at once, so `depth` is 1."""

    name = "onnxruntime"

    @staticmethod
    def devices() -> tuple[str, ...]:
        return ("cpu",)

    @staticmethod
    def precisions() -> tuple[str, ...]:
        return ("fp32",)

    def __init__(self, model: Path, *, device: str, precision: str) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised, and said once
        try:
            self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        # onnxruntime's exceptions share no base class of their own.
        except Exception as error:
            if "alloc" in str(error):
                raise OutOfMemoryError(f"{model}: not enough memory to load it") from error
            raise ModelError(f"not a readable ONNX model ({_line(error)})") from error
        self.device = device
        self.compute_dtype = precision
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ModelError(f"no super-resolution model: it has {len(inputs)} inputs, expected 1")
        self._input = inputs[0].name
        shape = [side if isinstance(side, int) else None for side in inputs[0].shape]
        self._dtype = {"tensor(float)": "float32", "tensor(float16)": "float16"}.get(
            inputs[0].type, inputs[0].type
        )
        info = ModelInfo.from_metadata(self._session.get_modelmeta().custom_metadata_map)
        self._io: IO = "float32" if info is None else info.io
        self.info = info or probe_info(self._run, shape, self._dtype)
        self.limits = declared_limits(shape, self._io, depth=1)

    def submit(self, batch: NDArray[Any]) -> "_Handle":
        try:
            return _Handle(self._run(batch))
        except SRError as error:
            return _Handle(error)

    def close(self) -> None:
        del self._session

    def _run(self, batch: NDArray[Any]) -> NDArray[Any]:
        if self._dtype == "float16":
            batch = batch.astype(np.float16)
        try:
            outputs: list[NDArray[Any]] = self._session.run(None, {self._input: batch})
        except Exception as error:
            if "alloc" in str(error):
                raise OutOfMemoryError(
                    f"onnxruntime: not enough memory for a tile ({_line(error)})"
                ) from error
            raise BackendError(f"onnxruntime could not run the model ({_line(error)})") from error
        return picture_of(outputs, self._io)


class _Handle:
    """What a batch gave: its output or its error."""

    def __init__(self, outcome: NDArray[Any] | SRError) -> None:
        self._outcome = outcome

    def result(self) -> NDArray[Any]:
        if isinstance(self._outcome, SRError):
            raise self._outcome
        return self._outcome


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
