"""RealPLKSR: what it computes, and how far it sees."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_runtime.errors import ArgumentError
from sr_train.models.realplksr import RealPLKSR

SMALL = {"num_features": 8, "num_blocks": 2, "kernel_size": 5}


def trained(network: RealPLKSR) -> RealPLKSR:
    """The network with weights that all matter."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return network.eval()


def published_realplksr(network: RealPLKSR, image: Tensor) -> Tensor:
    """The network of figure 3, with the normalisations of its two variants."""
    state, options = network.state_dict(), network.architecture

    def conv(name: str, x: Tensor) -> Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    def normalised(x: Tensor, name: str, groups: int, *dims: int, eps: float) -> Tensor:
        parts = x.unflatten(1, (groups, -1))
        mean = parts.mean(dims, keepdim=True)
        variance = (parts - mean).square().mean(dims, keepdim=True)
        y = ((parts - mean) / (variance + eps).sqrt()).flatten(1, 2)
        weight, bias = (state[f"{name}.{kind}"][:, None, None] for kind in ("weight", "bias"))
        return weight * y + bias

    x = conv("feats.0", image)
    for k in range(1, options["num_blocks"] + 1):
        name, y = f"feats.{k}", x
        if options["layer_norm"]:
            y = normalised(y, f"{name}.layer_norm", 1, 2, eps=1e-6)
        y = conv(f"{name}.channel_mixer.0", y)
        y = conv(f"{name}.channel_mixer.2", y * torch.log1p(y.exp()).tanh())
        partial = options["partial_channels"]
        y = torch.cat((conv(f"{name}.lk.conv", y[:, :partial]), y[:, partial:]), 1)
        if options["attention"]:
            y = y / (1 + torch.exp(-conv(f"{name}.attn.f.0", y)))
        y = conv(f"{name}.refine", y)
        if not options["layer_norm"]:
            y = normalised(y, f"{name}.norm", 4, 2, 3, 4, eps=1e-5)
        x = x + y
    scale = options["scale_factor"]
    repeated = image.repeat_interleave(scale**2, dim=1)
    return F.pixel_shuffle(conv(f"feats.{options['num_blocks'] + 2}", x) + repeated, scale)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"layer_norm": False},
        {"scale_factor": 2, "attention": False},
        {"scale_factor": 3, "img_channels": 1, "partial_channels": 3},
    ],
    ids=str,
)
def test_realplksr_computes_the_papers_equations(options: dict[str, int]) -> None:
    network = trained(RealPLKSR(**(SMALL | options))).double()
    image = torch.rand(2, network.in_channels, 6, 9, dtype=torch.float64)
    expected = published_realplksr(network, image)
    torch.testing.assert_close(network(image), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("layer_norm", [True, False])
def test_a_far_pixel_changes_the_result_where_the_whole_image_is_normalised(
    layer_norm: bool,
) -> None:
    network = trained(RealPLKSR(**SMALL, layer_norm=layer_norm)).double()
    image = torch.rand(1, 3, 4, 40, dtype=torch.float64)
    changed = image.clone()
    changed[..., -1] = 0
    same = torch.equal(network(image)[..., :8], network(changed)[..., :8])
    assert (same, network.receptive_radius) == ((True, 12) if layer_norm else (False, None))


def test_initial_weights_are_the_authors() -> None:
    torch.manual_seed(0)
    for name, module in RealPLKSR(num_features=64, num_blocks=1).named_modules():
        if isinstance(module, nn.Conv2d):
            default = (3 * module.weight[0].numel()) ** -0.5  # PyTorch's
            expected = default if name.endswith("channel_mixer.0") else 0.02
            assert module.weight.std().item() == pytest.approx(expected, rel=0.1), name


@pytest.mark.parametrize(
    "option",
    [
        {"scale_factor": 65},
        {"img_channels": 2},
        {"num_blocks": 0},
        {"kernel_size": 4},
        {"partial_channels": 8},
        {"num_features": 6, "layer_norm": False},
    ],
    ids=str,
)
def test_realplksr_names_the_option_outside_its_range(option: dict[str, int]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(option))):
        RealPLKSR(**(SMALL | option))
