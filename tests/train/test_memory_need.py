"""A run that cannot fit is refused before its networks are built, with the numbers."""

from typing import Any

import pytest
import torch
from torch import nn

from sr_runtime.errors import OutOfMemoryError
from sr_train import memory_need
from sr_train.config.schema import Config, DiscriminatorConfig, GeneratorConfig, Pretraining
from sr_train.config.sections import GeneratorType
from sr_train.initial_generator import fresh_generator
from sr_train.memory_need import check_memory_need, generator_parameters
from sr_train.models.rrdbnet import RRDBNet

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    "sizes",
    [
        {},
        {"num_basic_blocks": 3, "num_dense_blocks": 2, "num_residual_blocks": 4},
        {"num_residual_blocks": 1, "rrdb_channels": 5, "growth_channels": 7},
        {"num_residual_blocks": 2, "num_basic_blocks": 1, "use_subpixel_conv": True},
        {"type": "span"},
    ],
)
@pytest.mark.parametrize("scale", [1, 2, 4])
def test_the_parameters_are_those_of_the_network(sizes: dict[str, Any], scale: int) -> None:
    config = Config(scale_factor=scale, img_channels=1, generator=GeneratorConfig(**sizes))
    with torch.device("meta"):
        network = fresh_generator(config)
    assert generator_parameters(config) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        ({"generator": GeneratorConfig(num_basic_blocks=10**7)}, ["7,19", "parameters"]),
        ({"generator": GeneratorConfig(num_residual_blocks=10**9)}, ["parameters"]),
        ({"generator": GeneratorConfig(rrdb_channels=10**6)}, ["parameters"]),
        ({"generator": GeneratorConfig(type="span", span_channels=10**5)}, ["parameters"]),
        ({"batch_size": 65536}, ["batch_size 65536"]),
        *(
            ({"batch_size": 65536, "generator": GeneratorConfig(type=name)}, ["batch_size 65536"])
            for name in ("compact", "span", "realplksr")
        ),
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


def test_processes_on_gpus_need_their_share_each_and_those_on_a_cpu_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory_need, "free_memory", lambda: 16 * 10**9)
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (0, 16 * 10**9))
    run = Config(precision="fp32", batch_size=128)
    check_memory_need(run, torch.device("cuda"), processes=8)
    for device, processes in ((torch.device("cuda"), 1), (CPU, 8)):
        with pytest.raises(OutOfMemoryError, match="batch_size 128"):
            check_memory_need(run, device, processes=processes)


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
    network = fresh_generator(config)
    assert isinstance(network, RRDBNet)
    image = torch.rand(2, config.generator.rrdb_channels, 8, 8)
    kept = _kept_bytes(network.body, image)
    estimate = 4 * memory_need._kept_values(config) * image[:, 0].numel()
    assert 0.6 * kept < estimate <= kept


@pytest.mark.parametrize("name", ["compact", "span", "realplksr"])
def test_what_other_networks_keep_is_counted_without_computing_it(name: GeneratorType) -> None:
    small = {"span_channels": 8, "realplksr_channels": 8, "realplksr_blocks": 2}
    sizes = {field: size for field, size in small.items() if field.startswith(name)}
    config = Config(generator=GeneratorConfig(type=name, **sizes))
    counted = 4 * 16**2 * memory_need._kept_values(config)
    network = fresh_generator(config)
    one, two = (_kept_bytes(network, torch.rand(n, 3, 16, 16)) for n in (1, 2))
    # Layer normalisation may copy its input into another memory format first.
    assert 0.9 * (two - one) < counted <= two - one


def _kept_bytes(network: nn.Module, image: torch.Tensor) -> int:
    """What a forward pass keeps for the backward pass, without the parameters."""
    kept: dict[int, int] = {p.untyped_storage().data_ptr(): 0 for p in network.parameters()}
    tensors = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        tensors.append(tensor)  # alive, so that no other takes its place
        storage = tensor.untyped_storage()
        kept.setdefault(storage.data_ptr(), storage.nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(image)
    return sum(kept.values())
