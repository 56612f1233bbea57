"""A run that cannot fit is refused before its networks are built, with the numbers."""

from dataclasses import asdict
from typing import Any

import pytest
import torch

from sr_runtime.errors import OutOfMemoryError
from sr_train import memory_need
from sr_train.config.schema import Config, DiscriminatorConfig, GeneratorConfig, Pretraining
from sr_train.memory_need import check_memory_need, rrdbnet_parameters
from sr_train.models.rrdbnet import RRDBNet

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"num_basic_blocks": 3, "num_dense_blocks": 2, "num_residual_blocks": 4},
        {"num_residual_blocks": 1, "rrdb_channels": 5, "growth_channels": 7},
        {"num_residual_blocks": 2, "num_basic_blocks": 1, "use_subpixel_conv": True},
    ],
)
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_parameters_are_those_of_the_network(sizes: dict[str, Any], scale: int) -> None:
    config = Config(scale_factor=scale, img_channels=1, generator=GeneratorConfig(**sizes))
    with torch.device("meta"):
        network = RRDBNet(scale_factor=scale, img_channels=1, **asdict(config.generator))
    assert rrdbnet_parameters(config) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({"generator": GeneratorConfig(num_basic_blocks=10**7)}, ["7,19", "parameters"]),
        ({"generator": GeneratorConfig(num_residual_blocks=10**9)}, ["parameters"]),
        ({"generator": GeneratorConfig(rrdb_channels=10**6)}, ["parameters"]),
        ({"batch_size": 65536}, ["batch_size 65536"]),
        ({"discriminator": DiscriminatorConfig(type="unet", unet_channels=10**5)}, ["parameters"]),
        ({"discriminator": DiscriminatorConfig(fc_features=(10**9,))}, ["parameters"]),
    ],
)
def test_a_run_that_cannot_fit_is_refused_at_once_with_the_numbers(
    fields: dict[str, Any], facts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_need, "free_memory", lambda: 16 * 10**9)
    with pytest.raises(OutOfMemoryError, match=r"[\d,]+\.\d GB, and 16\.0 GB") as refused:
        check_memory_need(Config(**{"precision": "fp32", **fields}), CPU)
    assert [fact for fact in facts if fact not in str(refused.value)] == []


def test_the_default_run_fits_into_sixteen_gigabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_need, "free_memory", lambda: 16 * 10**9)
    check_memory_need(Config(precision="fp32"), CPU)


@pytest.mark.parametrize(
    "sizes",
    [
        {"num_basic_blocks": 2},
        {"num_basic_blocks": 1, "num_residual_blocks": 3, "growth_channels": 8},
        {"num_basic_blocks": 4, "num_residual_blocks": 2, "rrdb_channels": 16},
    ],
)
def test_the_estimate_is_less_than_what_a_forward_pass_keeps_but_not_by_much(
    sizes: dict[str, Any],
) -> None:
    config = Config(
        stages="pretraining",
        batch_size=2,
        generator=GeneratorConfig(**sizes),
        pretraining=Pretraining(cr_patch_size=(32, 32)),
    )
    network = RRDBNet(scale_factor=4, img_channels=3, **asdict(config.generator))
    kept: dict[int, int] = {p.untyped_storage().data_ptr(): 0 for p in network.parameters()}
    tensors = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        tensors.append(tensor)  # alive, so that no other takes its place
        storage = tensor.untyped_storage()
        kept.setdefault(storage.data_ptr(), storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network.body(torch.rand(2, config.generator.rrdb_channels, 8, 8))
    estimate = 4 * memory_need._kept_values(config, "pretraining")
    assert 0.6 * sum(kept.values()) < estimate <= sum(kept.values())
