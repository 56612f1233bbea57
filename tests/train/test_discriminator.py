"""The discriminators judge as their papers draw them, in any precision and memory format."""

import copy

import pytest
import torch
from torch import nn

from sr_runtime.errors import ArgumentError
from sr_train.models.discriminator import UNetDiscriminator, VGGDiscriminator


def tiny_vgg(**options: object) -> VGGDiscriminator:
    torch.manual_seed(0)
    given = {"vgg_blk_ch": (4, 4, 8, 8), "fc_features": (10,), "patch_size": (16, 24)} | options
    return VGGDiscriminator(**given)  # type: ignore[arg-type]


def tiny_unet() -> UNetDiscriminator:
    torch.manual_seed(0)
    return UNetDiscriminator(unet_channels=4)


def test_the_vgg_style_of_the_table_is_srgans() -> None:
    network = VGGDiscriminator(patch_size=(128, 128))
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convs] == [64, 64, 128, 128, 256, 256, 512, 512]
    assert [c.stride[0] for c in convs] == [1, 2, 1, 2, 1, 2, 1, 2]
    norms = [m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms == [64, 128, 128, 256, 256, 512, 512]
    slopes = [m.negative_slope for m in network.modules() if isinstance(m, nn.LeakyReLU)]
    assert slopes == [0.2] * 9
    linear = [m for m in network.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [(512 * 8 * 8, 100), (100, 1)]


def test_it_can_do_without_batch_norm_and_hidden_layers() -> None:
    network = tiny_vgg(batch_norm=False, fc_features=(), img_channels=1)
    assert not [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert network(torch.rand(3, 1, 16, 24)).shape == (3, 1)
    convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert all(conv.bias is not None for conv in convs)


@pytest.mark.parametrize("patch_size", [(18, 24), (2, 4), (16, 0)])
def test_a_crop_that_the_strides_do_not_divide_is_refused(patch_size: tuple[int, int]) -> None:
    with pytest.raises(ArgumentError, match="multiples of 4"):
        tiny_vgg(patch_size=patch_size)


def test_options_without_a_network_are_refused() -> None:
    for options in ({"vgg_blk_ch": ()}, {"vgg_blk_ch": (4, 0)}, {"fc_features": (0,)}):
        with pytest.raises(ArgumentError, match="vgg_blk_ch"):
            tiny_vgg(**options)


def test_images_of_another_size_are_refused_with_both_sizes() -> None:
    with pytest.raises(ArgumentError, match="16×24 pixels and an image has 24×24"):
        tiny_vgg()(torch.rand(2, 3, 24, 24))
    with pytest.raises(ArgumentError, match="24×20 pixels: take crops of multiples of 8"):
        tiny_unet()(torch.rand(2, 3, 24, 20))


@pytest.mark.parametrize("size", [(8, 8), (24, 40)])
def test_the_unet_judges_every_pixel(size: tuple[int, int]) -> None:
    assert tiny_unet()(torch.rand(2, 3, *size)).shape == (2, 1, *size)


def test_only_the_unets_first_and_last_convolutions_have_a_free_norm() -> None:
    network = tiny_unet()
    for _ in range(200):
        network(torch.rand(1, 3, 8, 8))
    norms = {
        name: torch.linalg.matrix_norm(module.weight.flatten(1), 2).item()
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d)
    }
    free = {norms.pop("first"), norms.pop("last")}
    assert len(norms) == 8
    assert all(norm == pytest.approx(1, abs=1e-3) for norm in norms.values())
    assert all(abs(norm - 1) > 1e-2 for norm in free)


def test_real_and_fake_can_be_judged_before_one_backward_pass() -> None:
    network = tiny_unet()
    real, fake = torch.rand(2, 2, 3, 16, 16)
    (network(fake).mean() - network(real).mean()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.slow
def test_the_power_iteration_ignores_autocast() -> None:
    """Weights would differ between precisions, and CUDA would mix types."""
    network = tiny_unet()
    reduced = copy.deepcopy(network)
    image = torch.rand(1, 3, 8, 8)
    network(image)
    with torch.autocast("cpu", torch.bfloat16):
        reduced(image)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, reduced.state_dict()[name]), name


@pytest.mark.parametrize("build", [tiny_vgg, tiny_unet])
def test_bf16_and_channels_last_change_little(build: type[nn.Module]) -> None:
    network = build().eval()
    image = torch.rand(2, 3, 16, 24)
    expected = network(image)
    network = network.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(image.to(memory_format=torch.channels_last))
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), expected, rtol=0.05, atol=0.02)
