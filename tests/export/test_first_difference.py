"""A file that is refused is refused with the first of its operators that differs from PyTorch's."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sr_export import VerificationError, verify
from sr_export.first_difference import first_difference
from sr_export.io_conversions import WithIO
from sr_export.parity import compare, require
from sr_export.photos import crops
from sr_export.to_onnx import onnx_from_generator
from sr_train.models.compact import SRVGGNetCompact
from tests.conftest import tiny_generator

NODE = onnx.NodeProto
GRAPH = onnx.GraphProto


def node_of(model: onnx.ModelProto, name: str) -> NODE:
    return next(node for node in model.graph.node if node.name.startswith(name))


def other_slope(node: NODE, _graph: GRAPH) -> None:
    node.attribute[0].f = 0.3


def no_operator(node: NODE, _graph: GRAPH) -> None:
    node.attribute[0].f = 1.0


def other_order(node: NODE, _graph: GRAPH) -> None:
    node.input[:] = reversed(node.input)


def other_operator(node: NODE, _graph: GRAPH) -> None:
    node.op_type = "Sub"


def other_weights(node: NODE, graph: GRAPH) -> None:
    weights = next(each for each in graph.initializer if each.name == node.input[1])
    changed = onnx.numpy_helper.to_array(weights) + np.float32(0.01)
    weights.CopyFrom(onnx.numpy_helper.from_array(changed, weights.name))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("conv_first/", other_weights),
        ("body.0.rdb1.conv2/", other_weights),
        ("body.0.rdb2/leaky_relu", other_slope),
        ("body.0.rdb2/leaky_relu", no_operator),
        ("body.0.rdb3/cat", other_order),
        ("body.0/add", other_operator),
        ("conv_last/", other_weights),
    ],
)
def test_the_operator_that_was_changed_is_found_among_equal_ones(
    name: str, change: Callable[[NODE, GRAPH], None], tiny_onnx: Callable[..., Path]
) -> None:
    model = onnx.load(tiny_onnx())
    node = node_of(model, name)
    change(node, model.graph)
    pixels = torch.rand(1, 3, 24, 20, generator=torch.Generator().manual_seed(0)).numpy()
    network = WithIO(tiny_generator().folded(), torch.float32, "float32")
    found = first_difference(network, model, pixels)
    assert found is not None
    assert found[0] == node.name
    assert 0 < found[1] < 100


@pytest.mark.parametrize("io", ["float32", "uint8"])
def test_no_operator_of_a_faithful_file_is_suspected(io, tiny_onnx: Callable[..., Path]) -> None:
    (pixels,) = crops(1, 64, 64, channels=3)
    batch = pixels[None]
    if io == "float32":
        batch = batch.transpose(0, 3, 1, 2).astype(np.float32) / 255
    network = WithIO(tiny_generator().folded(), torch.float32, io)
    assert first_difference(network, onnx.load(tiny_onnx(io=io)), batch) is None


def test_the_gate_names_the_operator_of_a_file_for_bytes_in_one_sentence(
    checkpoint: Path, tiny_onnx: Callable[..., Path], tmp_path: Path
) -> None:
    model = onnx.load(tiny_onnx(io="uint8"))
    other_slope(node_of(model, "body.0.rdb3/leaky_relu"), model.graph)
    onnx.save(model, tmp_path / "changed.onnx")
    said = r"first operator .* is body\.0\.rdb3/leaky_relu\w*/LeakyRelu \(by [\d.]+ or more\):"
    with pytest.raises(VerificationError, match=said):
        verify(checkpoint, tmp_path / "changed.onnx")


def test_without_onnx_runtime_the_gate_tells_the_largest_difference_alone(
    checkpoint: Path, tiny_onnx: Callable[..., Path], tmp_path: Path, monkeypatch
) -> None:
    pytest.importorskip("openvino")
    model = onnx.load(tiny_onnx())
    other_slope(node_of(model, "body.0.rdb3/leaky_relu"), model.graph)
    onnx.save(model, tmp_path / "changed.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(VerificationError, match=r"largest error .*engine or the exporter"):
        verify(checkpoint, tmp_path / "changed.onnx", backend="openvino")


class OtherWhenExported(SRVGGNetCompact):
    """Has a branch of its own for export, as some published networks have, and it is wrong."""

    def forward(self, image: Tensor) -> Tensor:
        features = self.body[0](image)
        features = F.leaky_relu(features, 0.1 if torch.compiler.is_exporting() else 0.2)
        for layer in self.body[2:]:
            features = layer(features)
        return F.pixel_shuffle(features, 4) + F.interpolate(image, scale_factor=4)


class Mixing(SRVGGNetCompact):
    """Adds to each image the mean of its batch."""

    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image + 0.1 * image.mean(dim=0, keepdim=True))


@pytest.mark.slow
def test_a_network_that_mixes_the_images_of_a_batch_is_at_fault_and_no_engine(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    network = Mixing(num_features=4, num_convolutions=2, scale_factor=4).eval()
    model = onnx_from_generator(network, halo=8)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(VerificationError, match=r"mixes .* batch.*by 0\.\d.*--tile-size"):
        require(compare(network, tmp_path / "m.onnx"))
    model = onnx_from_generator(network, halo=8, tile_size=64)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    require(compare(network, tmp_path / "m.onnx"))


class Loud(SRVGGNetCompact):
    def forward(self, image: Tensor) -> Tensor:
        return 1e4 * super().forward(image)


@pytest.mark.slow
def test_what_is_rounding_of_large_values_is_no_fault_of_an_engine(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Loud(num_features=4, num_convolutions=2, scale_factor=4).eval()
    model = onnx_from_generator(network, halo=8)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(VerificationError, match=r"values reach \S+, where 1 is white"):
        require(compare(network, tmp_path / "m.onnx"))


class Quantising(SRVGGNetCompact):
    def forward(self, image: Tensor) -> Tensor:
        return super().forward(torch.round(image * 16) / 16)


@pytest.mark.slow
def test_behind_an_operator_that_rounds_differences_are_seen() -> None:
    torch.manual_seed(0)
    network = Quantising(num_features=4, num_convolutions=2, scale_factor=4).eval()
    model = onnx_from_generator(network, halo=8)
    node = next(node for node in model.graph.node if node.op_type == "Conv")
    other_weights(node, model.graph)
    pixels = torch.rand(1, 3, 24, 20, generator=torch.Generator().manual_seed(0)).numpy()
    found = first_difference(WithIO(network.folded(), torch.float32, "float32"), model, pixels)
    assert found is not None
    assert found[0] == node.name


@pytest.mark.slow
def test_a_branch_that_the_trace_has_baked_in_is_found(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = OtherWhenExported(num_features=4, num_convolutions=2, scale_factor=4).eval()
    model = onnx_from_generator(network, halo=8)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(VerificationError, match=r"first operator .* is leaky_relu/LeakyRelu"):
        require(compare(network, tmp_path / "m.onnx"))
