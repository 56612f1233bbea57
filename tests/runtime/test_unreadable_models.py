"""A model that an engine cannot read: the next engine takes it, or one sentence says why not."""

import onnx
import pytest

import sr_runtime
from sr_runtime import ModelError
from tests.runtime.foreign_models import nearest, node, save


def test_auto_takes_the_next_engine_where_one_cannot_read_the_file(tmp_path) -> None:
    """As with a graph that ONNX Runtime optimised for itself, with operators of its own."""
    own = node("SampleOp", "x", "i", domain="com.microsoft")
    model = save(tmp_path / "m.onnx", [own, nearest("i", "y")])
    proto = onnx.load(model)
    proto.opset_import.add(domain="com.microsoft", version=1)
    onnx.save(proto, model)
    with pytest.raises(ModelError, match="readable"):
        sr_runtime.load(model, backend="openvino")
    with sr_runtime.load(model, device="cpu") as upscaler:
        assert upscaler.backend.name == "onnxruntime"


def test_where_no_engine_reads_a_file_the_reason_of_each_is_given(tmp_path) -> None:
    model = save(tmp_path / "m.onnx", [node("Nonsense", "x", "y")])
    with pytest.raises(
        ModelError, match=r"m\.onnx: no engine.*openvino: .*; onnxruntime: "
    ) as error:
        sr_runtime.load(model, device="cpu")
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 1500


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_model_without_outputs_is_one_sentence(backend: str, tiny_onnx, tmp_path) -> None:
    proto = onnx.load(tiny_onnx())
    del proto.graph.output[:]
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=r"m\.onnx: "):
        sr_runtime.load(tmp_path / "m.onnx", backend=backend, device="cpu")


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(("fact", "value"), [("in_channels", "1"), ("io", "uint8")])
def test_facts_that_contradict_the_graph_are_refused_with_the_files_name(
    backend: str, fact: str, value: str, tiny_onnx, tmp_path
) -> None:
    proto = onnx.load(tiny_onnx())
    next(prop for prop in proto.metadata_props if prop.key == f"sr.{fact}").value = value
    onnx.save(proto, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match=rf"m\.onnx: .*sr\.{fact} {value}.*input"):
        sr_runtime.load(tmp_path / "m.onnx", backend=backend, device="cpu")
