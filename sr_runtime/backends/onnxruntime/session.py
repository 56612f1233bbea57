"""What ONNX Runtime on the CPU and on a GPU share: sessions, their input, their errors."""

import importlib.metadata
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from sr_runtime.backends.base import UnreadableModelError
from sr_runtime.backends.importing import importing_an_engine
from sr_runtime.backends.onnx_metadata import Tensor, declared_inputs
from sr_runtime.backends.out_of_memory import is_out_of_memory
from sr_runtime.backends.reason import first_line
from sr_runtime.backends.stated import stated_info
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError, SRError
from sr_runtime.model_info import ModelInfo

# All of them install the Python package `onnxruntime`.
BUILDS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-webgpu", "onnxruntime-directml")


def check_one_build() -> None:
    """ImportError if two builds of ONNX Runtime lie in the same folder."""
    found: dict[str, str] = {}
    for build in BUILDS:
        try:
            folder = str(importlib.metadata.distribution(build).locate_file("onnxruntime"))
        except importlib.metadata.PackageNotFoundError:
            continue
        if folder in found:
            raise ImportError(
                f"{found[folder]} and {build} are both installed and overwrite each other's files: "
                "pip uninstall both, then install one of the extras cpu and gpu"
            )
        found[folder] = build


check_one_build()

with importing_an_engine():  # a mixed installation is reported before it is loaded
    import onnxruntime as ort

__all__ = [
    "PRECISIONS",
    "Provider",
    "RecordingError",
    "Tensor",
    "check_one_build",
    "facts_of",
    "info_of",
    "input_of",
    "open_session",
    "ort",
    "run_error",
    "run_session",
    "tensor_of",
]

Provider = tuple[str, Mapping[str, object]]

PRECISIONS = {"float16": "fp16", "float32": "fp32"}
"""What a GPU computes in, by the type of the file's weights; the fastest first."""

DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(bool)": "bool"}


class RecordingError(BackendError):
    """The kernels of a session cannot be recorded as a CUDA graph."""


def facts_of(model: Path) -> tuple[Tensor, ModelInfo | None]:
    """A model's input and the facts it states, read before it is opened on its device.

    Raises ModelError if it is not an ONNX model, or has several inputs.
    """
    inputs, metadata = declared_inputs(model)
    source = _only(inputs)
    return source, stated_info(metadata, source.shape, source.dtype)


def open_session(
    model: Path, providers: Sequence[Provider], options: ort.SessionOptions | None = None
) -> ort.InferenceSession:
    """Open a model file on the first provider; the others take the nodes it cannot compute.

    Raises:
        ModelError: It is not a readable ONNX model.
        BackendError: The first provider, or a library it needs, is missing. A RecordingError if
            only the recording that the provider's options ask for is impossible.
        OutOfMemoryError: The weights do not fit.
    """
    options = options or ort.SessionOptions()
    # Errors are raised, so nothing needs to be printed. ONNX Runtime's global level belongs to the
    # host program and is left alone.
    options.log_severity_level = 4
    try:
        # Its own fallback would print the error and continue on the CPU.
        session = ort.InferenceSession(
            openable(model), options, providers=providers, enable_fallback=0
        )
    except Exception as error:  # ONNX Runtime's exceptions share no base class of their own
        if is_out_of_memory(error):
            raise OutOfMemoryError("not enough memory to load the model") from error
        if "graph capture" in str(error):
            raise RecordingError(f"{providers[0][0]}: {first_line(error)}") from error
        if providers[0][0] != "CPUExecutionProvider" and re.search("CUDA|CUDNN", str(error)):
            raise BackendError(
                f"{providers[0][0]} cannot be used ({first_line(error)}){_advice(error)}"
            ) from error
        raise UnreadableModelError(
            f"not a readable ONNX model ({first_line(error)}){_advice(error)}"
        ) from error
    if session.get_providers()[0] != providers[0][0]:
        raise BackendError(
            f"{providers[0][0]} could not be loaded: a library is missing or has another version; "
            "`import onnxruntime; onnxruntime.print_debug_info()` shows the versions it needs"
        )
    return session


def openable(model: Path) -> Path | bytes:
    """What ONNX Runtime opens: it takes a file whose name is Unicode, or a file's content."""
    try:
        str(model).encode()
    except UnicodeEncodeError:
        return model.read_bytes()
    return model


def input_of(session: ort.InferenceSession) -> Tensor:
    """A model's only input; ModelError if it has several, or no output."""
    if not session.get_outputs():
        raise ModelError("not a super-resolution model: it has no output")
    return _only([tensor_of(source) for source in session.get_inputs()])


def _only(inputs: Sequence[Tensor]) -> Tensor:
    if len(inputs) != 1:
        raise ModelError(f"not a super-resolution model: it has {len(inputs)} inputs, expected 1")
    return inputs[0]


def info_of(session: ort.InferenceSession, source: Tensor) -> ModelInfo | None:
    """The facts that a model of ours states; None for any other model.

    Raises ModelError if they contradict its input, `source`.
    """
    metadata = session.get_modelmeta().custom_metadata_map
    return stated_info(metadata, source.shape, source.dtype)


def tensor_of(argument: Any) -> Tensor:
    """One of a session's `get_inputs()` or `get_outputs()`."""
    shape = tuple(side if isinstance(side, int) else None for side in argument.shape)
    dtype = DTYPES.get(argument.type, argument.type.removeprefix("tensor(").removesuffix(")"))
    return Tensor(argument.name, shape, dtype)


def run_session(
    session: ort.InferenceSession,
    source: Tensor,
    batch: NDArray[Any],
    options: ort.RunOptions | None = None,
) -> list[NDArray[Any]]:
    """All outputs for a batch, from and to the host's memory."""
    try:
        batch = batch.astype(source.dtype, copy=False)
        outputs: list[NDArray[Any]] = session.run(None, {source.name: batch}, options)
    except Exception as error:
        raise run_error(error) from error
    return outputs


def run_error(error: Exception) -> SRError:
    """Our error for an exception of `session.run`."""
    if is_out_of_memory(error):
        return OutOfMemoryError(f"onnxruntime: not enough memory for a tile ({first_line(error)})")
    return BackendError(
        f"onnxruntime could not run the model ({first_line(error)}){_advice(error)}"
    )


def _advice(error: Exception) -> str:
    """What to do about an error, where that is known."""
    if re.search("Unsupported model IR version|opset .* is under development", str(error)):
        return (
            ": it is in a newer ONNX than this ONNX Runtime reads: pip install --upgrade "
            "onnxruntime, or export the model for an older opset"
        )
    # CUDA's runtime says the first; the second comes from kernels that the driver cannot translate.
    old = any(
        words in str(error) for words in ("driver version is insuff", "unsupported toolchain")
    )
    if old:
        return ": update the NVIDIA driver"
    if re.search(r"\bf16\b|shader-f16", str(error)):
        return (
            ": the GPU has no FP16: use backend webgpu, which computes FP16 files in FP32 there, "
            "or take a file with FP32 weights"
        )
    return ""
