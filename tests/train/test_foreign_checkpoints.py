"""Weights in other trainers' layouts load, and the network computes the same as before."""

from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sr_runtime.errors import ArgumentError, ModelError
from sr_train.checkpoint import load_generator, save_generator
from sr_train.models.compact import SRVGGNetCompact
from sr_train.models.generator import Generator
from sr_train.models.rrdbnet import RRDBNet
from tests.train.foreign_layouts import (
    RENAMINGS,
    assert_same,
    basicsr,
    lornatang,
    old_arch,
    renamed,
    torch_sr,
    xinntao,
)

SMALL = {"rrdb_channels": 4, "growth_channels": 2, "num_basic_blocks": 2}


def trained(network: Generator) -> Generator:
    """The network with weights that all reach the output."""
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
@pytest.mark.parametrize("renaming", RENAMINGS)
def test_every_layout_loads_to_the_same_outputs(
    renaming: Callable[..., str], scale: int, tmp_path: Path
) -> None:
    network = trained(RRDBNet(scale_factor=scale, **SMALL))
    torch.save(renamed(network, renaming), tmp_path / "model.pth")
    assert_same(load_generator(tmp_path / "model.pth"), network)


@pytest.mark.slow
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    renaming=st.sampled_from(RENAMINGS),
    options=st.fixed_dictionaries(
        {
            "scale_factor": st.sampled_from([1, 2, 4, 8, 16]),
            "img_channels": st.sampled_from([1, 3]),
            "rrdb_channels": st.integers(1, 6),
            "growth_channels": st.integers(1, 6),
            "num_basic_blocks": st.integers(1, 12),
            "num_dense_blocks": st.integers(1, 4),
            "num_residual_blocks": st.integers(3, 6),
            "use_subpixel_conv": st.booleans(),
            "unshuffle": st.sampled_from([1, 2, 4]),
            "plus": st.booleans(),
        }
    ),
)
def test_architecture_is_inferred_whatever_its_sizes(
    renaming: Callable[..., str], options: dict[str, int], tmp_path: Path
) -> None:
    if options["scale_factor"] * options["unshuffle"] == 1:
        options["use_subpixel_conv"] = False  # without upsampling there is nothing to see it by
    if renaming in (lornatang, torch_sr):
        options["plus"] = False  # not in these trainers
    network = RRDBNet(**options)
    safetensors.torch.save_file(renamed(network, renaming), tmp_path / "model.safetensors")
    loaded = load_generator(tmp_path / "model.safetensors")
    assert loaded.architecture == network.architecture
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


@pytest.mark.parametrize("renaming", RENAMINGS)
def test_x3_loads_when_asked_for_since_its_tensors_look_like_x2(
    renaming: Callable[..., str], tmp_path: Path
) -> None:
    network = trained(RRDBNet(scale_factor=3, **SMALL))
    torch.save(renamed(network, renaming), tmp_path / "model.pth")
    assert load_generator(tmp_path / "model.pth").scale_factor == 2
    assert_same(load_generator(tmp_path / "model.pth", scale=3), network)


@pytest.mark.parametrize("renaming", [basicsr, xinntao, old_arch])
def test_esrgan_plus_loads_to_the_same_outputs(
    renaming: Callable[..., str], tmp_path: Path
) -> None:
    network = trained(RRDBNet(plus=True, **SMALL))
    torch.save(renamed(network, renaming), tmp_path / "model.pth")
    assert any(".conv1x1.weight" in name for name in renamed(network, renaming))
    assert_same(load_generator(tmp_path / "model.pth"), network)


@pytest.mark.parametrize(
    ("inputs", "outputs", "unshuffle"), [(3, 1, 1), (1, 3, 1), (4, 4, 1), (4, 3, 1), (4, 4, 2)]
)
def test_channels_of_input_and_output_may_differ_and_hold_alpha(
    inputs: int, outputs: int, unshuffle: int, tmp_path: Path
) -> None:
    network = RRDBNet(img_channels=inputs, out_channels=outputs, unshuffle=unshuffle, **SMALL)
    torch.save(trained(network).state_dict(), tmp_path / "model.pth")
    assert_same(load_generator(tmp_path / "model.pth"), network)


@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (1, 3), (4, 4)])
def test_compact_loads_with_its_channels(inputs: int, outputs: int, tmp_path: Path) -> None:
    options = {"img_channels": inputs, "out_channels": outputs, "num_features": 2}
    network = trained(SRVGGNetCompact(num_convolutions=2, **options))
    torch.save({"params": network.state_dict()}, tmp_path / "model.pth")
    assert_same(load_generator(tmp_path / "model.pth"), network)


@pytest.mark.parametrize("activation", ["relu", "leakyrelu"])
def test_an_activation_without_weights_is_asked_for_and_recorded(
    activation: str, tmp_path: Path
) -> None:
    options = {"num_features": 4, "num_convolutions": 2, "activation": activation}
    network = trained(SRVGGNetCompact(**options))
    torch.save({"params": network.state_dict()}, tmp_path / "model.pth")
    with pytest.raises(ModelError, match="--activation relu or --activation leakyrelu"):
        load_generator(tmp_path / "model.pth")
    loaded = load_generator(tmp_path / "model.pth", activation=activation)
    assert_same(loaded, network)
    save_generator(loaded, tmp_path / "ours.safetensors")
    assert_same(load_generator(tmp_path / "ours.safetensors"), network)
    with pytest.raises(ArgumentError, match=r"'activation': .*\.safetensors"):
        save_generator(loaded, tmp_path / "theirs.pth")


@pytest.mark.parametrize(
    ("network", "has"),
    [(RRDBNet(**SMALL), "leakyrelu"), (SRVGGNetCompact(num_convolutions=1), "prelu")],
    ids=["RRDBNet", "compact"],
)
def test_an_activation_that_the_network_does_not_have_is_refused(
    network: Generator, has: str, tmp_path: Path
) -> None:
    torch.save(network.state_dict(), tmp_path / "model.pth")
    with pytest.raises(ModelError, match=f"{has}, and relu was asked for"):
        load_generator(tmp_path / "model.pth", activation="relu")


def test_subpixel_x3_is_recognised_by_its_nine_times_as_many_channels(tmp_path: Path) -> None:
    network = trained(RRDBNet(scale_factor=3, use_subpixel_conv=True, **SMALL))
    torch.save(network.state_dict(), tmp_path / "model.pth")
    assert_same(load_generator(tmp_path / "model.pth"), network)


@pytest.mark.parametrize(
    ("network", "scale"),
    [
        (RRDBNet(scale_factor=4, **SMALL), 3),
        (RRDBNet(scale_factor=4, **SMALL), 2),
        (RRDBNet(scale_factor=1, unshuffle=2, **SMALL), 3),
        (RRDBNet(scale_factor=2, use_subpixel_conv=True, **SMALL), 3),
        (SRVGGNetCompact(scale_factor=4, num_features=4, num_convolutions=1), 2),
    ],
    ids=lambda v: v if isinstance(v, int) else f"{v.arch}-x{v.scale_factor}-{v.multiple_of}",
)
def test_a_scale_that_the_tensors_cannot_make_is_refused(
    network: Generator, scale: int, tmp_path: Path
) -> None:
    torch.save(network.state_dict(), tmp_path / "model.pth")
    with pytest.raises(ModelError, match=f"scale {network.scale_factor} .* scale {scale}"):
        load_generator(tmp_path / "model.pth", scale=scale)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_compact_loads_with_its_sizes(scale: int, tmp_path: Path) -> None:
    options = {"img_channels": 1, "num_features": 5, "num_convolutions": 6}
    network = trained(SRVGGNetCompact(scale_factor=scale, **options))
    torch.save({"params": network.state_dict()}, tmp_path / "model.pth")
    assert_same(load_generator(tmp_path / "model.pth"), network)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scaling", [0.2, 0.1, 0.15])
def test_torch_srs_residual_scaling_becomes_part_of_the_architecture(
    scaling: float, dtype: torch.dtype, tmp_path: Path
) -> None:
    network = RRDBNet(residual_scaling=scaling, **SMALL)
    state = {k: v.to(dtype) for k, v in renamed(network, torch_sr, scaling).items()}
    torch.save({"g_model_state_dict": state, "d_model_state_dict": {}}, tmp_path / "model.pth")
    assert load_generator(tmp_path / "model.pth").architecture == network.architecture


def test_blocks_that_scale_differently_are_refused(tmp_path: Path) -> None:
    state = renamed(RRDBNet(**SMALL), torch_sr)
    state["rrdb_blocks.rrdb_1.residual_scaling"] = torch.tensor(0.5)
    torch.save({"model_state_dict": state}, tmp_path / "model.pth")
    with pytest.raises(ModelError, match=r"0\.2.*, 0\.5.*one value"):
        load_generator(tmp_path / "model.pth")
