"""Reads from an ONNX file without onnx: its facts, its inputs, and which files hold its weights.

The facts are in `metadata_props`. Weights may be in files beside the model, which ONNX calls
external data. The numbers of the fields are those of onnx.proto.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from sr_runtime.backends.onnx_schema import (
    GRAPH,
    INITIALIZER,
    METADATA_PROPS,
    entries,
    tensors,
)
from sr_runtime.backends.protobuf import inside, integer, text
from sr_runtime.errors import ModelError, StorageError, about, reading
from sr_runtime.model_info import ModelInfo

__all__ = [
    "EXPORT_FP16",
    "Tensor",
    "content_hash",
    "data_files",
    "declared_inputs",
    "is_fp16_onnx",
    "read_fp16_onnx",
    "readable",
    "refuse_files_elsewhere",
    "require_data_files",
    "require_one_file",
]

EXPORT_FP16 = "python -m sr_export onnx CHECKPOINT --precision fp16 -o MODEL.onnx"

NOT_ONNX = (
    "not a readable ONNX model: it is another kind of file, or damaged: copy or export it again"
)

# Field numbers in GraphProto and TensorProto, in this order.
INPUT = 11
TENSOR_NAME, EXTERNAL_DATA = 8, 13
# In ValueInfoProto, TypeProto, its tensor, TensorShapeProto and its Dimension.
INPUT_NAME, INPUT_TYPE = 1, 2
TENSOR_TYPE = 1
ELEMENT_TYPE, SHAPE = 1, 2
DIMENSION = 1
DIMENSION_VALUE = 1

# numpy's names of TensorProto.DataType.
DTYPES = {1: "float32", 2: "uint8", 4: "uint16", 10: "float16", 11: "float64", 16: "bfloat16"}


class Tensor(NamedTuple):
    """An input or output of a model."""

    name: str
    shape: tuple[int | None, ...]
    """None where it is dynamic."""
    dtype: str
    """numpy's name; the engine's or ONNX's for types that none of our models has."""


def declared_inputs(model: Path) -> tuple[list[Tensor], dict[str, str]]:
    """The inputs that a model declares, without those that have a value, and its metadata.

    No engine opens it: a model for one device may be one that others cannot open.

    Raises:
        ModelError: It is not an ONNX model.
        StorageError: It cannot be read.
    """
    data = _read(model)
    with readable(model):
        (graph,) = inside(data, GRAPH)
        weights = {text(tensor, TENSOR_NAME) for tensor in inside(graph, INITIALIZER)}
        inputs = [_declared(value) for value in inside(graph, INPUT)]
        given = [source for source in inputs if source.name not in weights]
        return given, entries(data, METADATA_PROPS)


def _declared(value: memoryview) -> Tensor:
    """The tensor that a ValueInfoProto declares; without a shape where it has none."""
    kind, shape = 0, []
    for value_type in inside(value, INPUT_TYPE):
        for tensor in inside(value_type, TENSOR_TYPE):
            kind = integer(tensor, ELEMENT_TYPE) or 0
            for sides in inside(tensor, SHAPE):
                shape = [integer(side, DIMENSION_VALUE) for side in inside(sides, DIMENSION)]
    dtype = DTYPES.get(kind, f"of ONNX type {kind}")
    return Tensor(text(value, INPUT_NAME), tuple(shape), dtype)


def read_fp16_onnx(model: Path) -> tuple[bytes, ModelInfo]:
    """Read an ONNX file of ours with FP16 weights, and its facts.

    Raises:
        ModelError: It is not such a file, or not the only one; the message has the remedy.
        StorageError: It cannot be read.
    """
    data = _read(model)
    with readable(model):
        info = ModelInfo.from_metadata(entries(data, METADATA_PROPS))
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
    require_one_file(model, data)
    return data, info


def is_fp16_onnx(model: Path) -> bool:
    """Whether `read_fp16_onnx` takes a file: an ONNX file of ours with FP16 weights."""
    try:
        read_fp16_onnx(model)
    except (ModelError, StorageError):
        return False
    return True


def refuse_files_elsewhere(model: Path) -> None:
    """Raise ModelError if an ONNX model names a file for its weights that is not in its folder.

    An inference engine would read any file of the user's as weights.
    """
    with readable(model):
        needed = _data_files(_read(model))
    for name in needed:
        places = PurePosixPath(name), PureWindowsPath(name)
        if any(place.drive or place.root or ".." in place.parts for place in places):
            raise ModelError(
                f"it names {name!r} for its weights, and only files in its own folder are read: "
                "export it again",
                path=model,
            )


def require_data_files(model: Path) -> None:
    """Raise ModelError if a file with weights of an ONNX model is missing, or is cut off."""
    for name, length in data_files(model).items():
        file = model.parent / name
        if not os.path.isfile(file):  # noqa: PTH113 - Path's fails for a name that no file has
            raise ModelError(
                f"its weights are in {name}, which is not beside it: copy that file too, or export "
                "the model as one file",
                path=model,
            )
        if (size := file.stat().st_size) < length:
            raise ModelError(
                f"its weights are in {name}, which has {size} bytes and needs {length}: copy that "
                "file again",
                path=model,
            )


def data_files(model: Path) -> dict[str, int]:
    """The other files of an ONNX model, and how many bytes of each it uses.

    Raises ModelError if it is not an ONNX model.
    """
    with readable(model):
        return _data_files(_read(model))


def content_hash(model: Path) -> str:
    """A hash of the file of an ONNX model and of those of its weights."""
    digest = hashlib.sha256()
    for path in (model, *(model.parent / name for name in sorted(data_files(model)))):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def require_one_file(model: Path, data: bytes) -> None:
    """Raise ModelError if weights of an ONNX model are in other files, complete or not.

    Args:
        data: The content of the model's file.
    """
    with readable(model):
        needed = _data_files(data)
    if needed:
        refuse_files_elsewhere(model)
        require_data_files(model)
        raise ModelError(
            f"its weights are in {', '.join(needed)}, and one file is needed: "
            f'onnx.save(onnx.load("{model.name}"), "one_file.onnx") writes it',
            path=model,
        )


def _read(model: Path) -> bytes:
    with reading(model):
        return model.read_bytes()


@contextmanager
def readable(model: Path) -> Iterator[None]:
    """Raise ModelError about this file if the block finds that it is not an ONNX model."""
    with about(model):
        try:
            yield
        except (KeyError, ValueError) as error:
            raise ModelError(NOT_ONNX) from error


def _data_files(model: bytes) -> dict[str, int]:
    """The other files of a serialised ONNX model, and how many bytes of each it uses."""
    used: dict[str, int] = {}
    for tensor in tensors(model):
        if place := entries(tensor, EXTERNAL_DATA):
            name = place["location"]
            end = int(place.get("offset", 0)) + int(place.get("length", 0))
            used[name] = max(end, used.get(name, 0))
    return used
