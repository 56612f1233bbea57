"""Opens ONNX files with onnx."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from sr_runtime.backends.onnx_metadata import require_one_file
from sr_runtime.errors import ModelError, reading

__all__ = ["load_onnx"]


def load_onnx(path: Path) -> onnx.ModelProto:
    """Read a model.

    Raises ModelError if it is damaged, or is more than this one file, StorageError if it cannot be
    read.
    """
    with reading(path):
        data = path.read_bytes()
    try:
        model = onnx.load_from_string(data)
    except DecodeError as error:
        raise ModelError("not a readable ONNX model", path=path) from error
    require_one_file(path, data)
    return model
