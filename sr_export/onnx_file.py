"""Opens ONNX files with onnx."""

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from sr_runtime.errors import ModelError

__all__ = ["load_onnx"]


def load_onnx(path: Path) -> onnx.ModelProto:
    """Read a model; ModelError if it is damaged, or is more than this one file."""
    try:
        model = onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise ModelError("not a readable ONNX model", path=path) from error
    if any(map(onnx.external_data_helper.uses_external_data, model.graph.initializer)):
        raise ModelError(
            "its weights are in other files: put all into one file, with "
            'onnx.save(onnx.load("…"), "one_file.onnx")',
            path=path,
        )
    return model
