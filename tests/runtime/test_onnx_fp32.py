"""The FP32 twin of an FP16 file: the same weights and the same graph, in FP32."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from sr_runtime import ModelError
from sr_runtime.backends.onnx_fp32 import fp32_from_fp16


def half_graph(weights: onnx.TensorProto) -> bytes:
    """y = x · weights + 0.1 cast to FP16, with FP16 in every place that a graph has for a type."""
    tenth = numpy_helper.from_array(np.float16(0.1), "tenth")
    nodes = [
        helper.make_node("Cast", ["x"], ["a"], to=TensorProto.FLOAT16),
        helper.make_node("Mul", ["a", "w"], ["b"]),
        helper.make_node("Constant", [], ["c"], value=tenth),
        helper.make_node("Add", ["b", "c"], ["d"]),
        helper.make_node("Cast", ["d"], ["y"], to=TensorProto.FLOAT),
        helper.make_node("Identity", ["d"], ["z"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"]),
            helper.make_tensor_value_info("z", TensorProto.FLOAT16, ["n"]),
        ],
        [weights],
        value_info=[helper.make_tensor_value_info("b", TensorProto.FLOAT16, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    helper.set_model_props(model, {"sr.scale": "4"})
    return model.SerializeToString()


def test_every_fp16_type_and_value_of_a_graph_becomes_fp32() -> None:
    weights = np.array([0.1, -2, 65504, 6e-8], np.float16)
    twin = onnx.load_from_string(fp32_from_fp16(half_graph(numpy_helper.from_array(weights, "w"))))
    onnx.checker.check_model(twin, full_check=True)
    values = (*twin.graph.input, *twin.graph.output, *twin.graph.value_info)
    assert {value.type.tensor_type.elem_type for value in values} == {TensorProto.FLOAT}
    np.testing.assert_array_equal(
        numpy_helper.to_array(twin.graph.initializer[0]), weights.astype(np.float32)
    )
    x = np.array([1, 0.3, 4, 5], np.float32)
    expected = x * weights.astype(np.float32) + np.float32(np.float16(0.1))
    np.testing.assert_array_equal(ReferenceEvaluator(twin).run(["y"], {"x": x})[0], expected)
    assert {prop.key: prop.value for prop in twin.metadata_props} == {"sr.scale": "4"}


@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_an_exported_model_has_a_twin_with_the_same_picture(io, tiny_onnx) -> None:
    half: Path = tiny_onnx("fp16", io)
    batch = np.random.default_rng(0).random((1, 3, 16, 17), np.float32)
    if io == "uint8":
        batch = np.rint(batch * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    outputs = []
    for model in (half.read_bytes(), fp32_from_fp16(half.read_bytes())):
        session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
        outputs.append(session.run(None, {session.get_inputs()[0].name: batch})[0])
    white = 255 if io == "uint8" else 1
    assert np.abs(outputs[0].astype(np.float32) - outputs[1]).max() <= white / 128


def test_an_fp32_file_is_its_own_twin(tiny_onnx) -> None:
    assert fp32_from_fp16(tiny_onnx().read_bytes()) == tiny_onnx().read_bytes()


def test_weights_that_are_not_raw_data_in_the_file_are_refused() -> None:
    listed = helper.make_tensor("w", TensorProto.FLOAT16, [2], [1.0, 2.0])
    with pytest.raises(ModelError, match=r"not in the file as raw data.* export it in fp32"):
        fp32_from_fp16(half_graph(listed))


@pytest.mark.parametrize("damage", [slice(40, None), slice(None, -3)])
def test_a_damaged_file_is_refused(damage: slice, tiny_onnx) -> None:
    with pytest.raises(ModelError, match="not a readable ONNX model"):
        fp32_from_fp16(tiny_onnx("fp16").read_bytes()[damage])


def test_a_number_in_the_place_of_the_graph_is_refused() -> None:
    with pytest.raises(ModelError, match="not a readable ONNX model"):
        fp32_from_fp16(b"\x38\x01")
