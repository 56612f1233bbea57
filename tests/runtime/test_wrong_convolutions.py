"""Models with a convolution that ONNX Runtime's WebGPU computes wrongly are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

import sr_runtime
from benchmarks.software_adapter import use_software_adapter
from sr_runtime.backends.onnxruntime.plugin import plugin_devices
from sr_runtime.backends.onnxruntime.wrong_convolutions import wrong_convolution
from sr_runtime.embedded import model_file
from sr_runtime.errors import BackendError

use_software_adapter()

RANDOM = np.random.default_rng(0)


def convolution(inputs: int, outputs: int, kernel: int = 3, **attributes: Any) -> onnx.ModelProto:
    """A model of one convolution; its weights are random."""
    group = attributes.get("group", 1)
    weights = RANDOM.random((outputs, inputs // group, kernel, kernel), np.float32) - 0.5
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[kernel // 2] * 4, **attributes)
    shape = ["n", inputs, "h", "w"]
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * 4)],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


CASES = [
    ((6, 4), {}, 6),
    ((9, 8), {}, 9),
    ((42, 16), {}, 42),
    ((6, 4, 1), {"strides": [2, 2]}, 6),
    ((3, 4), {}, None),
    ((12, 4), {}, None),
    ((10, 4), {}, None),
    ((6, 6), {}, None),
    ((6, 4, 1), {}, None),
    ((6, 4), {"group": 2}, None),
]


@pytest.mark.parametrize(("sizes", "attributes", "wrong"), CASES)
def test_a_wrong_convolution_is_found(sizes, attributes, wrong) -> None:
    model = convolution(*sizes, **attributes).SerializeToString()
    assert wrong_convolution(model) == wrong


@pytest.mark.slow
def test_these_convolutions_and_no_others_are_computed_wrongly() -> None:
    """Should this fail with a newer plug-in, the refusal is no longer needed."""
    devices = [each for each in plugin_devices("webgpu") if each.ep_name]
    if not devices:
        pytest.skip("WebGPU finds no device here")
    for sizes, attributes, wrong in CASES:
        model = convolution(*sizes, **attributes).SerializeToString()
        options = ort.SessionOptions()
        options.add_provider_for_devices([devices[0]], {})
        image = {"x": RANDOM.random((1, sizes[0], 8, 8), np.float32)}
        right, got = (
            ort.InferenceSession(model, each, providers=providers).run(None, image)[0]
            for each, providers in ((None, ["CPUExecutionProvider"]), (options, None))
        )
        assert (np.abs(right - got).max() > 0.1) == (wrong is not None), (sizes, attributes)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["webgpu", "plugin:webgpu"])
def test_a_model_with_one_is_refused_by_webgpu_alone(backend: str, tmp_path: Path) -> None:
    first, last = convolution(3, 6), convolution(6, 12)
    last.graph.node[0].input[:], last.graph.node[0].output[:] = ["y", "v"], ["z"]
    last.graph.initializer[0].name = "v"
    first.graph.node.append(last.graph.node[0])
    first.graph.node.append(helper.make_node("DepthToSpace", ["z"], ["out"], blocksize=2))
    first.graph.initializer.append(last.graph.initializer[0])
    first.graph.output[0].name = "out"
    path = tmp_path / "m.onnx"
    onnx.save(first, path)
    sr_runtime.load(path, backend="onnxruntime", device="cpu").close()
    with pytest.raises(BackendError, match=r"wrongly, that of 6 channels .*: choose another"):
        sr_runtime.load(path, backend=backend)


@pytest.mark.parametrize("name", ["psnr", "esrgan"])
def test_the_embedded_models_have_none(name: str) -> None:
    assert wrong_convolution(model_file(name).read_bytes()) is None


@pytest.mark.parametrize("content", [b"", b"no model", b"\x3a\x04\x0a\x02\x22\xff"])
def test_what_is_no_model_has_none(content: bytes) -> None:
    assert wrong_convolution(content) is None
