"""What ONNX Runtime has in common on the CPU and on a GPU: sessions, their input, errors."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError, SRError
from sr_runtime.model_info import ModelInfo


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

__all__ = [
    "Provider",
    "Tensor",
    "facts_of",
    "info_of",
    "input_of",
    "open_session",
    "ort",
    "run_error",
    "tensor_of",
]

Provider = tuple[str, Mapping[str, object]]

# Words of the arena, of CUDA, cuDNN and cuBLAS, and of C++. Not "alloc" alone: an output buffer of
# the wrong size is called pre-allocated.
OUT_OF_MEMORY = (
    "failed to allocate",
    "available memory of",
    "out of memory",
    "alloc_failed",
    "allocation_failed",
    "bad_alloc",
    "bad allocation",
)

DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(bool)": "bool"}


class Tensor(NamedTuple):
    """An input or output of a model."""

    name: str
    shape: tuple[int | None, ...]
    """None where it is dynamic."""
    dtype: str
    """As numpy calls it; as ONNX Runtime does where no model of ours has it."""


def facts_of(model: Path) -> tuple[Tensor, ModelInfo | None]:
    """A model's input and the facts that it states, read without preparing it for a device.

    Raises ModelError if it is no readable ONNX model, or takes several inputs.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = open_session(model, [("CPUExecutionProvider", {})], options)
    return input_of(session), info_of(session)


def open_session(
    model: Path, providers: Sequence[Provider], options: ort.SessionOptions | None = None
) -> ort.InferenceSession:
    """Open a model file on the first of the providers; the others take what that one cannot.

    Raises:
        ModelError: It is no readable ONNX model.
        BackendError: The first provider is not there, or not with what it needs.
        OutOfMemoryError: The weights do not fit.
    """
    options = options or ort.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised, and said once
    ort.set_default_logger_severity(4)  # even where all is well it has remarks about providers
    try:
        # Left to itself it prints what went wrong, and goes on with the CPU.
        session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
    # onnxruntime's exceptions share no base class of their own.
    except Exception as error:
        if _is_memory(error):
            raise OutOfMemoryError(f"{model}: not enough memory to load it") from error
        if providers[0][0] != "CPUExecutionProvider" and _is_device(error):
            raise BackendError(f"{providers[0][0]} cannot be used ({_line(error)})") from error
        raise ModelError(f"not a readable ONNX model ({_line(error)})") from error
    finally:
        ort.set_default_logger_severity(2)  # as it is by default
    if session.get_providers()[0] != providers[0][0]:
        raise BackendError(
            f"{providers[0][0]} could not be loaded: a library is missing, or not of the version "
            "that `import onnxruntime; onnxruntime.print_debug_info()` tells"
        )
    return session


def input_of(session: ort.InferenceSession) -> Tensor:
    """A model's only input; ModelError if it has several."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise ModelError(f"no super-resolution model: it has {len(inputs)} inputs, expected 1")
    return tensor_of(inputs[0])


def info_of(session: ort.InferenceSession) -> ModelInfo | None:
    """The facts that a model states; None where they are not of ours."""
    return ModelInfo.from_metadata(session.get_modelmeta().custom_metadata_map)


def tensor_of(argument: Any) -> Tensor:
    """One of a session's `get_inputs()` or `get_outputs()`."""
    shape = tuple(side if isinstance(side, int) else None for side in argument.shape)
    dtype = DTYPES.get(argument.type, argument.type.removeprefix("tensor(").removesuffix(")"))
    return Tensor(argument.name, shape, dtype)


def run_error(error: Exception) -> SRError:
    """What a run's exception means."""
    if _is_memory(error):
        return OutOfMemoryError(f"onnxruntime: not enough memory for a tile ({_line(error)})")
    return BackendError(f"onnxruntime could not run the model ({_line(error)})")


def _is_memory(error: Exception) -> bool:
    return any(words in str(error).lower() for words in OUT_OF_MEMORY)


def _is_device(error: Exception) -> bool:
    return any(name in str(error) for name in ("CUDA", "CUDNN", "TensorRT", "graph capture"))


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
