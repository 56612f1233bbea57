"""Networks are mixed weight by weight, and only if they have one architecture."""

import pytest
import torch

from sr_runtime.errors import ArgumentError
from sr_train.interpolate import average, interpolate
from sr_train.models.compact import SRVGGNetCompact
from tests.conftest import tiny_generator


def test_alpha_goes_from_psnr_to_gan() -> None:
    psnr, gan = tiny_generator(seed=0), tiny_generator(seed=1)
    mixed = interpolate(psnr, gan, 0.8)
    assert mixed.architecture == psnr.architecture
    assert not mixed.training
    for name, tensor in mixed.state_dict().items():
        expected = 0.2 * psnr.state_dict()[name] + 0.8 * gan.state_dict()[name]
        torch.testing.assert_close(tensor, expected)
    for alpha, end in ((0, psnr), (1, gan)):
        for name, tensor in interpolate(psnr, gan, alpha).state_dict().items():
            assert torch.equal(tensor, end.state_dict()[name])


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_alpha_outside_0_to_1_is_refused(alpha: float) -> None:
    with pytest.raises(ArgumentError, match="between 0"):
        interpolate(tiny_generator(), tiny_generator(), alpha)


def test_the_average_is_of_all_and_leaves_equal_networks_as_they_are() -> None:
    generators = [tiny_generator(seed) for seed in range(3)]
    means = average(generators).state_dict()
    for name, tensor in means.items():
        stacked = torch.stack([generator.state_dict()[name] for generator in generators])
        torch.testing.assert_close(tensor, stacked.mean(0))
    for name, tensor in average([generators[0]] * 3).state_dict().items():
        assert torch.equal(tensor, generators[0].state_dict()[name])


@pytest.mark.parametrize("count", [0, 1])
def test_an_average_takes_two_generators_or_more(count: int) -> None:
    with pytest.raises(ArgumentError, match=f"two generators or more, and {count} "):
        average([tiny_generator()] * count)


def test_different_architectures_are_refused_with_the_difference() -> None:
    with pytest.raises(ArgumentError, match="growth_channels 4 and 6"):
        interpolate(tiny_generator(), tiny_generator(growth_channels=6), 0.5)
    with pytest.raises(ArgumentError, match="arch RRDBNet and SRVGGNetCompact"):
        average([tiny_generator(), SRVGGNetCompact(num_features=4, num_convolutions=1)])
