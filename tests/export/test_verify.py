"""`verify`: another network, other weights and damage are told apart."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from sr_export import VerificationError, verify
from sr_export.__main__ import main
from sr_export.fp16_check import least_psnr
from sr_export.limits import WORSE_THAN_HALF
from sr_export.to_onnx import onnx_from_generator
from sr_runtime.embedded import EMBEDDED, checkpoint_file, model_file
from sr_runtime.errors import ModelError
from sr_train.checkpoint import save_generator
from sr_train.models.compact import SRVGGNetCompact
from tests.conftest import tiny_generator


@pytest.mark.slow
def test_a_model_of_another_activation_fails_and_names_the_option(tmp_path) -> None:
    options = {"num_features": 4, "num_convolutions": 2, "scale_factor": 2}
    network = SRVGGNetCompact(**options, activation="relu").eval()
    torch.save(network.state_dict(), tmp_path / "m.pth")
    model = tmp_path / "m.onnx"
    model.write_bytes(onnx_from_generator(network, halo=8).SerializeToString())
    assert main(["verify", str(tmp_path / "m.pth"), str(model), "--activation", "relu"]) == 0
    with pytest.raises(VerificationError, match="another --activation"):
        verify(tmp_path / "m.pth", model, activation="leakyrelu")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("m.engine", b"ftrt", "an engine.*ONNX"),
        ("m.pth", None, "a PyTorch checkpoint"),
        ("m.onnx", b"<!DOCTYPE html>", "a web page"),
    ],
)
def test_what_is_compared_with_a_checkpoint_is_an_onnx_file(
    name: str, content: bytes | None, says: str, tmp_path: Path
) -> None:
    save_generator(tiny_generator(), tmp_path / "m.pth")
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=says):
        verify(tmp_path / "m.pth", tmp_path / name)


def test_a_model_of_other_weights_fails_and_says_that_they_are_other_weights(
    tiny_onnx, tmp_path
) -> None:
    other = tiny_generator()
    with torch.no_grad():
        other.body[0].rdb2.conv3.weight += 0.5
    save_generator(other, tmp_path / "other.safetensors")
    with pytest.raises(VerificationError, match="other weights") as caught:
        verify(tmp_path / "other.safetensors", tiny_onnx())
    assert caught.value.path == tiny_onnx()
    assert [check.passed for check in caught.value.checks] == [False, False]


def test_a_model_that_is_damaged_after_the_export_fails_and_the_checkpoint_is_not_blamed(
    checkpoint, tiny_onnx, tmp_path
) -> None:
    model = onnx.load(tiny_onnx())
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "conv_last.bias")
    bias.raw_data = bytes(len(bias.raw_data))
    onnx.save(model, tmp_path / "damaged.onnx")
    with pytest.raises(VerificationError, match=r"is conv_last/.*changed later$"):
        verify(checkpoint, tmp_path / "damaged.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("model", EMBEDDED)
def test_an_fp16_file_with_another_slope_fails_though_it_has_45_db(
    model: str, tmp_path: Path
) -> None:
    checkpoint, file = checkpoint_file(model), model_file(model)
    verify(checkpoint, file)
    graph = onnx.load(file)
    *_, last = (node for node in graph.graph.node if node.op_type == "LeakyRelu")
    last.attribute[0].f = 0.21  # instead of 0.2
    onnx.save(graph, tmp_path / "slope.onnx")
    with pytest.raises(VerificationError, match="PSNR") as caught:
        verify(checkpoint, tmp_path / "slope.onnx")
    assert next(check for check in caught.value.checks if not check.passed).value > 45


def test_a_file_of_uint8_may_be_as_far_as_rounding_its_values_brings_it() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.random(1_000_000)
    for true_half in (50, 60, 70, 80):
        worst = wanted + rng.normal(0, 10 ** ((WORSE_THAN_HALF - true_half) / 20), wanted.shape)
        (rounded_worst, rounded) = (np.rint(each * 255) / 255 for each in (worst, wanted))
        measured = -10 * np.log10(np.square(rounded_worst - rounded).mean())
        least = least_psnr(true_half, rounds_to_levels=True)
        assert max(45, measured - 3) <= least <= max(45, measured)


@pytest.mark.slow
def test_a_model_of_another_network_is_refused(checkpoint, tiny_onnx) -> None:
    with pytest.raises(ModelError, match=r"\(2, 3, 1\).*\(4, 3, 1\)"):
        verify(checkpoint, tiny_onnx(scale_factor=2))
