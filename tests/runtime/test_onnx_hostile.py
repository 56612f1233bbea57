"""ONNX files that somebody made to be read for ever: one error each, in the time of their size."""

from pathlib import Path

import pytest
from onnx import TensorProto, helper

from sr_runtime import ModelError
from sr_runtime.backends.onnx_fp32 import fp32_from_fp16
from sr_runtime.backends.onnx_metadata import require_data_files, require_one_file
from sr_runtime.backends.protobuf import LENGTH, VARINT, Field, encode, fields


def nested(depth: int) -> bytes:
    """A model whose graph has a node with an attribute that is a graph, and so on."""
    fields_down = [7, *(1, 5, 6) * depth][:depth]
    heads, size = [], 0
    for number in reversed(fields_down):  # the innermost first, whose size is known
        heads.append(bytes([number << 3 | LENGTH]) + encode(Field(number, VARINT, size))[1:])
        size += len(heads[-1])
    return b"".join(reversed(heads))


@pytest.mark.parametrize("depth", [103, 1000, 100_000])
def test_deep_nesting_is_refused(depth: int, tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    model.write_bytes(nested(depth))
    with pytest.raises(ModelError, match="not a readable ONNX model"):
        fp32_from_fp16(model.read_bytes())
    with pytest.raises(ModelError, match="not a readable ONNX model"):
        require_data_files(model)


def test_nesting_as_real_models_have_it_is_read() -> None:
    assert fp32_from_fp16(nested(20)) == nested(20)


@pytest.mark.parametrize(
    "damaged",
    [
        b"\x08" + b"\xff" * 1_000_000 + b"\x01",  # a number without an end
        b"\xff" * 11,
        b"\x3a\xff\xff\xff\xff\x0f",  # 4 GB that are not there
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01ab",
        b"\x3b",
    ],
    ids=["varint", "tag", "length", "longest", "wire"],
)
def test_numbers_and_lengths_beyond_the_file_are_refused(damaged: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"number|cut off|wire"):
        list(fields(damaged))
    with pytest.raises(ModelError):
        fp32_from_fp16(damaged)
    with pytest.raises(ModelError):
        require_one_file(tmp_path / "m.onnx", damaged)


@pytest.mark.parametrize("where", ["constant", "branch", "sparse"])
def test_weights_beside_the_model_are_found_wherever_they_are_used(
    where: str, tmp_path: Path
) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="gone.bin")
    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=tensor)], "inner", [], []
    )
    nodes = {
        "constant": [helper.make_node("Constant", [], ["c"], value=tensor)],
        "branch": [helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)],
        "sparse": [],
    }[where]
    graph = helper.make_graph(nodes, "g", [], [])
    if where == "sparse":
        graph.sparse_initializer.add().values.CopyFrom(tensor)
    model = tmp_path / "m.onnx"
    model.write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(ModelError, match=r"gone\.bin, which is not beside it"):
        require_data_files(model)


def test_the_name_of_a_weights_file_that_no_file_can_have_is_refused(tmp_path: Path) -> None:
    graph = helper.make_graph([], "g", [], [])
    tensor = graph.initializer.add(name="w", data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="a\0b" + "c" * 5000)
    model = tmp_path / "m.onnx"
    model.write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(ModelError, match="not beside it"):
        require_data_files(model)
