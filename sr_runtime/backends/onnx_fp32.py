"""The FP32 twin of an FP16 ONNX file, for devices that cannot compute in FP16.

FP16 values are exact in FP32, so the twin has the same weights. It is made without onnx, by
rewriting the types in the file's protobuf (onnx.proto).
"""

import numpy as np

from sr_runtime.backends.onnx_schema import INSIDE
from sr_runtime.backends.protobuf import MAX_DEPTH, Field, encode, fields
from sr_runtime.errors import ModelError

__all__ = ["FLOAT16", "fp32_from_fp16"]

# TensorProto.DataType
FLOAT, FLOAT16 = 1, 10

TENSOR_DATA_TYPE, TENSOR_RAW_DATA = 2, 9
TYPE_ELEMENT = 1
ATTRIBUTE_NAME, ATTRIBUTE_INT = 1, 3


def fp32_from_fp16(model: bytes) -> bytes:
    """A copy in which every FP16 tensor, input, output and cast is FP32, and all else is the same.

    Raises ModelError if it is not an ONNX model, or its weights are not in the file itself.
    """
    try:
        return _rewritten(model, "model", MAX_DEPTH)
    # TypeError: a field has a number where onnx.proto has a message.
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError("not a readable ONNX model") from error


def _rewritten(message: bytes | memoryview, kind: str, depth: int) -> bytes:
    """Args:
    depth: How much deeper messages may be nested.
    """
    if kind == "tensor":
        return _tensor(message)
    if depth == 0:
        raise ValueError(f"messages are nested more than {MAX_DEPTH} deep")
    contents = list(fields(message))
    casts_to = kind == "attribute" and any(
        field.number == ATTRIBUTE_NAME and field.value == b"to" for field in contents
    )
    out = bytearray()
    for field in contents:
        if inner := INSIDE[kind].get(field.number):
            field = field._replace(value=_rewritten(field.value, inner, depth - 1))
        elif (kind == "tensor type" and field.number == TYPE_ELEMENT) or (
            casts_to and field.number == ATTRIBUTE_INT
        ):
            field = _as_float(field)
        out += encode(field)
    return bytes(out)


def _tensor(message: bytes | memoryview) -> bytes:
    contents = {field.number: field for field in fields(message)}
    if contents[TENSOR_DATA_TYPE].value != FLOAT16:
        return bytes(message)
    if TENSOR_RAW_DATA not in contents:
        raise ModelError(
            "its fp16 weights are not in the file as raw data, so that they cannot be converted "
            "for a device that has no fp16: export it in fp32"
        )
    out = bytearray()
    for field in fields(message):
        if field.number == TENSOR_DATA_TYPE:
            field = _as_float(field)
        elif field.number == TENSOR_RAW_DATA:
            weights = np.frombuffer(field.value, "<f2").astype("<f4")
            field = field._replace(value=weights.tobytes())
        out += encode(field)
    return bytes(out)


def _as_float(field: Field) -> Field:
    return field._replace(value=FLOAT) if field.value == FLOAT16 else field
