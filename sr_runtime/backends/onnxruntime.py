"""ONNX Runtime on the CPU, computing in FP32."""

import importlib.metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends.foreign import declared_limits, probe_info
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError
from sr_runtime.model_info import ModelInfo
from sr_runtime.tensor import non_finite_error


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
            raise ModelError(f"{model}: not a readable ONNX model ({_line(error)})") from error
        self.device = device
        self.compute_dtype = precision
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise ModelError(
                f"{model}: no super-resolution model: it has {len(inputs)} inputs, expected 1"
            )
        self._input = inputs[0].name
        shape = [side if isinstance(side, int) else None for side in inputs[0].shape]
        self._dtype = {"tensor(float)": "float32", "tensor(float16)": "float16"}.get(
            inputs[0].type, inputs[0].type
        )
        info = ModelInfo.from_metadata(self._session.get_modelmeta().custom_metadata_map)
        try:
            self.info = info or probe_info(lambda x: self._run(x)[0], shape, self._dtype)
        except ModelError as error:
            raise ModelError(f"{model}: {error}") from error
        self.limits = declared_limits(shape, self.info.io, depth=1)

    def submit(self, batch: NDArray[Any]) -> "_Handle":
        try:
            return _Handle(self._run(batch), None)
        except (BackendError, OutOfMemoryError) as error:
            return _Handle([], error)

    def close(self) -> None:
        del self._session

    def _run(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        if self._dtype == "float16":
            batch = batch.astype(np.float16)
        try:
            outputs: list[NDArray[Any]] = self._session.run(None, {self._input: batch})
        except Exception as error:
            if "alloc" in str(error):
                raise OutOfMemoryError(
                    f"onnxruntime: not enough memory ({_line(error)})"
                ) from error
            raise BackendError(f"onnxruntime could not run the model ({_line(error)})") from error
        return outputs


class _Handle:
    """What a batch gave: its outputs or its error."""

    def __init__(self, outputs: list[NDArray[Any]], error: Exception | None) -> None:
        self._outputs = outputs
        self._error = error

    def result(self) -> NDArray[Any]:
        if self._error is not None:
            raise self._error
        if len(self._outputs) > 1 and not self._outputs[1].all():
            raise non_finite_error()
        return self._outputs[0]


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
