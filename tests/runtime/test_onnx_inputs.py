"""The input and the facts of an ONNX file, read without an engine, are those that engines see."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from sr_runtime import ModelError
from sr_runtime.backends.onnx_metadata import Tensor, declared_inputs
from sr_runtime.backends.onnxruntime.session import facts_of, ort, tensor_of
from tests.runtime.foreign_models import ANY, nearest, node, save


@pytest.mark.parametrize("options", [{}, {"precision": "fp16"}, {"io": "uint8"}])
def test_they_are_the_ones_of_onnx_runtime(options: dict, tiny_onnx: Callable[..., Path]) -> None:
    model = tiny_onnx(**options)
    session = ort.InferenceSession(model)
    inputs, metadata = declared_inputs(model)
    assert inputs == [tensor_of(one) for one in session.get_inputs()]
    assert metadata == session.get_modelmeta().custom_metadata_map


def test_weights_that_are_listed_as_inputs_are_none(tmp_path: Path) -> None:
    model = onnx.load(save(tmp_path / "m.onnx", [nearest("x", "y")], [2, 3, "h", 64]))
    weights = helper.make_tensor_value_info("twice", TensorProto.FLOAT, [4])
    model.graph.input.append(weights)
    onnx.save(model, tmp_path / "m.onnx")
    source, stated = facts_of(tmp_path / "m.onnx")
    assert source == Tensor("x", (2, 3, None, 64), "float32")
    assert stated is None


def test_a_model_that_only_another_device_opens_is_read(tmp_path: Path) -> None:
    compiled = helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft")
    source, _ = facts_of(save(tmp_path / "m.onnx", [compiled]))
    assert source == Tensor("x", (1, 3, None, None), "float32")


def test_several_inputs_are_refused(tmp_path: Path) -> None:
    model = onnx.load(save(tmp_path / "m.onnx", [node("Mul", "x s", "a"), nearest("a", "y")]))
    model.graph.input.append(helper.make_tensor_value_info("s", TensorProto.FLOAT, ANY))
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="2 inputs, expected 1"):
        facts_of(tmp_path / "m.onnx")


def test_a_file_without_a_network_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08")
    with pytest.raises(ModelError, match="not a readable ONNX model"):
        facts_of(tmp_path / "m.onnx")
