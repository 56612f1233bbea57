"""Reads the `metadata_props` of an ONNX file without onnx: a few fields of its protobuf.

In ModelProto `metadata_props` is field 14, and each entry has its key as field 1 and its value as
field 2 (onnx.proto).
"""

from pathlib import Path

from sr_runtime.backends.protobuf import fields
from sr_runtime.errors import ModelError, StorageError, about
from sr_runtime.model_info import ModelInfo

__all__ = ["EXPORT_FP16", "is_fp16_onnx", "read_fp16_onnx"]

EXPORT_FP16 = "python -m sr_export onnx CHECKPOINT --precision fp16 -o MODEL.onnx"

METADATA_PROPS, KEY, VALUE = 14, 1, 2


def read_fp16_onnx(model: Path) -> tuple[bytes, ModelInfo]:
    """Read an ONNX file of ours with FP16 weights, and its facts.

    Raises:
        ModelError: It is not such a file; the message has the export command.
        StorageError: It cannot be read.
    """
    try:
        data = model.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot be read ({error.strerror or error})", path=model) from error
    with about(model):
        info = ModelInfo.from_metadata(_metadata_of(data))
    if info is None:
        raise ModelError(
            "it states none of the facts that an engine needs (scale, io, halo): export it from "
            f"its checkpoint: {EXPORT_FP16}",
            path=model,
        )
    if info.weights_dtype != "float16":
        raise ModelError(
            f"its weights are {info.weights_dtype}, and an engine computes in FP16: export it "
            f"again: {EXPORT_FP16}",
            path=model,
        )
    return data, info


def is_fp16_onnx(model: Path) -> bool:
    """Whether `read_fp16_onnx` takes a file: an ONNX file of ours with FP16 weights."""
    try:
        read_fp16_onnx(model)
    except (ModelError, StorageError):
        return False
    return True


def _metadata_of(model: bytes) -> dict[str, str]:
    """The `metadata_props` of a serialised ONNX model; ModelError if it is not one."""
    try:
        entries = [_texts(prop.value) for prop in fields(model) if prop.number == METADATA_PROPS]
        return {entry[KEY]: entry[VALUE] for entry in entries}
    except (IndexError, KeyError, UnicodeDecodeError, ValueError) as error:
        raise ModelError("not a readable ONNX model") from error


def _texts(message: bytes | memoryview) -> dict[int, str]:
    return {field.number: bytes(field.value).decode() for field in fields(message)}
