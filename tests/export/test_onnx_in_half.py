"""Graphs of other architectures are computed in half as PyTorch computes them."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional as F

from sr_export.onnx_in_half import run_in_half
from sr_runtime.errors import ModelError


def graph(node: onnx.NodeProto, **constants: np.ndarray) -> onnx.ModelProto:
    """A model of one node, from `input` to `output`."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT16, [1, None, None, None])
        for name in ("input", "output")
    ]
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    made = helper.make_graph([node], "g", values[:1], values[1:], initializer=stored)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)])


IMAGE = torch.rand(1, 2, 9, 8).half()


@pytest.mark.parametrize(
    ("options", "pads"),
    [({"dilation": 2, "padding": 2}, [2, 2, 2, 2]), ({"padding": 1}, [1, 1, 1, 1])],
)
def test_a_dilated_convolution(options: dict[str, int], pads: list[int]) -> None:
    weights = torch.rand(3, 2, 3, 3).half()
    dilation = options.get("dilation", 1)
    node = helper.make_node(
        "Conv", ["input", "w"], ["output"], pads=pads, dilations=[dilation, dilation]
    )
    (got,), _ = run_in_half(graph(node, w=weights.numpy()), IMAGE.numpy())
    wanted = F.conv2d(IMAGE.float(), weights.float(), **options).half()
    np.testing.assert_array_equal(got, wanted.numpy())


def test_a_convolution_that_pads_one_side_alone() -> None:
    weights = torch.rand(3, 2, 3, 3).half()
    node = helper.make_node("Conv", ["input", "w"], ["output"], pads=[0, 0, 2, 2])
    (got,), _ = run_in_half(graph(node, w=weights.numpy()), IMAGE.numpy())
    wanted = F.conv2d(F.pad(IMAGE, (0, 2, 0, 2)).float(), weights.float())
    np.testing.assert_allclose(got, wanted.numpy(), atol=0.05)


def test_a_transposed_convolution_with_its_peak() -> None:
    weights = torch.rand(2, 3, 4, 4).half()
    node = helper.make_node(
        "ConvTranspose", ["input", "w.weight"], ["output"],
        strides=[2, 2], pads=[3, 3, 3, 3], output_padding=[1, 0],
    )  # fmt: skip
    (got,), peaks = run_in_half(graph(node, **{"w.weight": weights.numpy()}), IMAGE.numpy())
    wanted = F.conv_transpose2d(
        IMAGE.float(), weights.float(), stride=2, padding=3, output_padding=(1, 0)
    )
    np.testing.assert_array_equal(got, wanted.half().numpy())
    assert peaks == [("w", wanted.max().item())]


def test_an_enlargement_that_is_not_to_the_nearest() -> None:
    scales = np.array([1, 1, 2, 2], np.float32)
    node = helper.make_node("Resize", ["input", "", "s"], ["output"], mode="linear")
    (got,), _ = run_in_half(graph(node, s=scales), IMAGE.numpy())
    wanted = F.interpolate(IMAGE.float(), scale_factor=2, mode="bilinear")
    np.testing.assert_allclose(got, wanted.numpy(), atol=0.01)


@pytest.mark.parametrize(("opset", "mode"), [(18, "bilinear"), (20, "linear")])
def test_pixels_taken_from_places_between_them(opset: int, mode: str) -> None:
    """As DySample enlarges; its mode has another name since opset 20."""
    places = (2 * torch.rand(1, 18, 16, 2) - 1).half()
    node = helper.make_node(
        "GridSample", ["input", "p"], ["output"], mode=mode, padding_mode="border"
    )
    model = graph(node, p=places.numpy())
    model.opset_import[0].version = opset
    (got,), _ = run_in_half(model, IMAGE.numpy())
    wanted = F.grid_sample(
        IMAGE.float(), places.float(), padding_mode="border", align_corners=False
    )
    np.testing.assert_array_equal(got, wanted.half().numpy())


def test_padding_that_cuts() -> None:
    """As RealCUGAN cuts its borders off."""
    widths = np.array([0, 0, -1, 2, 0, 0, -2, -3], np.int64)
    node = helper.make_node("Pad", ["input", "w"], ["output"])
    (got,), _ = run_in_half(graph(node, w=widths), IMAGE.numpy())
    np.testing.assert_array_equal(got, F.pad(IMAGE, (2, -3, -1, -2)).numpy())


def test_an_operator_that_is_not_computed_is_named_in_one_sentence() -> None:
    node = helper.make_node("Reshape", ["input", "s"], ["output"])
    with pytest.raises(ModelError, match=r"cannot be checked in half .*reshape") as raised:
        run_in_half(graph(node, s=np.array([7], np.int64)), IMAGE.numpy())
    assert "\n" not in str(raised.value)
