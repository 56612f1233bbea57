"""SPAN: what it computes, and the files that it shares with other programs."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_runtime.errors import ArgumentError
from sr_train.checkpoint import load_generator, save_generator
from sr_train.models.span import SPAN

MEAN = (0.4488, 0.4371, 0.4040)


def trained(network: SPAN) -> SPAN:
    """The network with weights whose every product matters."""
    torch.manual_seed(0)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return network.eval()


def published_span(network: SPAN, image: Tensor) -> Tensor:
    """The network of figure 2, with the factors of its convolutions as the authors train them."""
    state = network.state_dict()

    def linear(name: str, x: Tensor) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def conv(name: str, x: Tensor) -> Tensor:
        y = F.pad(x, (1, 1, 1, 1))
        for k in range(3):
            y = linear(f"{name}.conv.{k}", y)
        return y + linear(f"{name}.sk", x)

    def silu(x: Tensor) -> Tensor:
        return x / (1 + torch.exp(-x))

    if network.norm:
        image = 255 * (image - torch.tensor(MEAN, dtype=image.dtype).reshape(1, 3, 1, 1))
    outputs = [conv("conv_1", image)]
    for k in range(1, 7):
        early = silu(conv(f"block_{k}.c1_r", outputs[-1]))
        h = conv(f"block_{k}.c3_r", silu(conv(f"block_{k}.c2_r", early)))
        outputs.append((outputs[-1] + h) * (1 / (1 + torch.exp(-h)) - 0.5))
    joined = torch.cat((outputs[0], conv("conv_2", outputs[6]), outputs[1], early), 1)
    x = linear("conv_cat", joined)
    x = F.conv2d(x, state["upsampler.0.weight"], state["upsampler.0.bias"], padding=1)
    scale, channels = network.scale_factor, network.out_channels
    n, _, height, width = x.shape
    x = x.reshape(n, channels, scale, scale, height, width).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(n, channels, scale * height, scale * width)


@pytest.mark.parametrize(
    "options", [{}, {"scale_factor": 2, "norm": False}, {"scale_factor": 3, "img_channels": 1}]
)
def test_span_computes_the_papers_equations(options: dict[str, int]) -> None:
    network = trained(SPAN(num_features=4, **options)).double()
    image = torch.rand(2, network.in_channels, 6, 9, dtype=torch.float64)
    expected = published_span(network, image)
    torch.testing.assert_close(network(image), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(network.folded()(image), expected, rtol=1e-9, atol=1e-9)


def test_the_folded_network_has_one_convolution_in_the_place_of_four() -> None:
    network = SPAN(num_features=4)
    assert sum(isinstance(each, nn.Conv2d) for each in network.modules()) == 20 * 4 + 2
    folded = network.folded()
    assert sum(isinstance(each, nn.Conv2d) for each in folded.modules()) == 20 + 2
    assert folded.block_6.c3_r.kernel_size == (3, 3)


def test_files_hold_the_folded_convolutions_for_other_programs(tmp_path: Path) -> None:
    network = trained(SPAN(num_features=4))
    save_generator(network, tmp_path / "span.pth")
    state = torch.load(tmp_path / "span.pth", weights_only=True)["params"]
    factors = [f"conv.{k}" for k in range(3)]
    kinds = ("bias", "weight")
    assert sorted(name for name in state if name.startswith("block_3.c2_r.")) == [
        f"block_3.c2_r.{part}.{kind}" for part in (*factors, "eval_conv", "sk") for kind in kinds
    ]
    folded = network.folded().state_dict()
    assert torch.equal(state["block_3.c2_r.eval_conv.weight"], folded["block_3.c2_r.weight"])
    assert torch.equal(state["conv_1.eval_conv.bias"], folded["conv_1.bias"])


def test_folded_convolutions_in_a_file_do_not_count(tmp_path: Path) -> None:
    """Trainers that average the weights leave them as they were at the start."""
    network = trained(SPAN(num_features=4))
    state = {
        name: torch.zeros_like(value) if ".eval_conv." in name else value
        for name, value in network.stored().items()
    }
    torch.save({"params_ema": state}, tmp_path / "theirs.pth")
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(load_generator(tmp_path / "theirs.pth")(image), network(image))


def test_neosrs_mark_says_that_the_mean_is_not_subtracted(tmp_path: Path) -> None:
    network = trained(SPAN(num_features=4, norm=False))
    torch.save(network.stored() | {"no_norm": torch.zeros(1)}, tmp_path / "theirs.pth")
    assert load_generator(tmp_path / "theirs.pth").architecture["norm"] is False


def test_the_mean_colour_is_known_for_rgb_alone() -> None:
    with pytest.raises(ArgumentError, match=r"norm is true and img_channels is 1"):
        SPAN(img_channels=1, norm=True)


def test_folding_draws_no_random_numbers() -> None:
    """A run saves their state, and may save its network at any step."""
    network = SPAN(num_features=4)
    before = torch.get_rng_state()
    network.folded()
    network.stored()
    assert torch.equal(torch.get_rng_state(), before)
