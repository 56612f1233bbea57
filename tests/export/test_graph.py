"""The exported graph: smaller than the network, traced block by block, and equal to it."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray

from sr_export.fp16_check import half_precision_checks
from sr_export.parity import compare, require
from sr_export.photos import crops, tensor_from_crop
from sr_export.report import OPSETS
from sr_export.to_onnx import onnx_from_generator
from sr_train.checkpoint import weights_sha256
from sr_train.models.generator import Generator
from sr_train.models.realplksr import RealPLKSR
from sr_train.models.rrdbnet import RRDBNet
from tests.conftest import tiny_generator
from tests.small_generators import generator_id, small_generators


def deep_generator() -> RRDBNet:
    """Three blocks, whose biases are not zero but for one."""
    generator = tiny_generator(num_basic_blocks=3, num_dense_blocks=2, num_residual_blocks=3)
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if name.endswith("bias") and not name.startswith("body.0.rdb1.conv2"):
                parameter += torch.randn_like(parameter) * 0.05
    return generator


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


def output_of(model: onnx.ModelProto, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"input": batch})
    return output


@pytest.mark.parametrize("network", small_generators(), ids=generator_id)
def test_a_folded_network_computes_the_same_and_leaves_the_original_as_it_was(
    network: Generator,
) -> None:
    before = weights_sha256(network)
    folded = network.folded().double()
    assert weights_sha256(network) == before
    image = torch.rand(1, network.in_channels, 8, 12, dtype=torch.float64)
    with torch.inference_mode():
        wanted = network.double()(image)
        # The weights were multiplied in fp32.
        torch.testing.assert_close(folded(image), wanted, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_the_scaling_of_dense_blocks_costs_no_operation() -> None:
    generator = deep_generator()
    assert operators(onnx_from_generator(generator, halo=8))["Mul"] == len(generator.body)


def test_true_half_is_checked_on_the_weights_that_are_exported() -> None:
    generator = deep_generator()
    with torch.no_grad():
        # Times 0.2 it fits into the type.
        generator.body[0].rdb1.conv3.bias[0] = 70_000
    activation, *_ = half_precision_checks(generator, torch.rand(1, 3, 16, 16))
    assert activation.value < 20_000


@pytest.mark.slow
def test_a_graph_traced_block_by_block_is_the_graph_traced_whole() -> None:
    generator = deep_generator()
    repeated = onnx_from_generator(generator, precision="fp16", halo=8)
    generator.repeated = None
    whole = onnx_from_generator(generator, precision="fp16", halo=8)
    assert operators(repeated) == operators(whole)
    names = [node.name for node in repeated.graph.node]
    assert len({*names}) == len(names)
    modules = {name.rpartition("/")[0].rpartition("/")[0] for name in names}
    assert {"", "conv_first", "body.0.rdb1.conv2", "body.2", "body.2.rdb2.conv1"} <= modules
    got, wanted = (
        {tensor.name: tensor.raw_data for tensor in model.graph.initializer}
        for model in (repeated, whole)
    )
    zeros = "body.0.rdb1.conv2.bias"  # which the exporter leaves out
    assert not any(got.pop(zeros))
    assert got == wanted
    batch = np.random.default_rng(0).random((2, 3, 19, 30), np.float32)
    np.testing.assert_array_equal(output_of(repeated, batch), output_of(whole, batch))


@pytest.mark.slow
def test_the_blocks_of_a_realplksr_are_those_of_the_network() -> None:
    torch.manual_seed(0)
    generator = RealPLKSR(num_features=8, num_blocks=3, kernel_size=5).eval()
    for parameter in generator.parameters():
        torch.nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    batch = np.random.default_rng(0).random((2, 3, 19, 30), np.float32)
    with torch.inference_mode():
        wanted = generator(torch.from_numpy(batch)).numpy()
    got = output_of(onnx_from_generator(generator, halo=8), batch)
    np.testing.assert_allclose(got, wanted, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("opset", [OPSETS[0], 21, OPSETS[-1]])
def test_every_opset_is_written_and_equal_with_any_batch_and_size(
    opset: int, tmp_path: Path
) -> None:
    generator = deep_generator()
    model = onnx_from_generator(generator, halo=8, opset=opset)
    assert model.opset_import[0].version == opset
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["batch", 3, "height", "width"]
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    require(compare(generator, tmp_path / "m.onnx"))
    pixels = crops(3, 17, 41, channels=3)
    batch = torch.cat([tensor_from_crop(crop) for crop in pixels])
    with torch.inference_mode():
        wanted = generator(batch).numpy()
    np.testing.assert_allclose(output_of(model, batch.numpy()), wanted, atol=1e-4)
