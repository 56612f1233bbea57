"""The generators as networks: what they compute, and which options they refuse."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sr_runtime.errors import ArgumentError
from sr_train.models.compact import SRVGGNetCompact
from sr_train.models.generator import Generator
from sr_train.models.registry import ARCHITECTURES, build_generator
from sr_train.models.rrdbnet import RRDBNet
from tests.small_generators import generator_id, small_generators

SMALL = {"rrdb_channels": 4, "growth_channels": 2, "num_basic_blocks": 1}


def published_rrdbnet(network: RRDBNet, image: Tensor) -> Tensor:
    """ESRGAN's generator with one block, written from figure 4 of the paper."""
    state, options = network.state_dict(), network.architecture
    beta, u = options["residual_scaling"], options["unshuffle"]

    def conv(name: str, x: Tensor) -> Tensor:
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    def lrelu(x: Tensor) -> Tensor:
        return torch.where(x > 0, x, 0.2 * x)

    n, c, h, w = image.shape
    squares = image.reshape(n, c, h // u, u, w // u, u).permute(0, 1, 3, 5, 2, 4)
    first = conv("conv_first", squares.reshape(n, c * u * u, h // u, w // u))
    x = first
    for j in (1, 2, 3):
        x1 = lrelu(conv(f"body.0.rdb{j}.conv1", x))
        x2 = lrelu(conv(f"body.0.rdb{j}.conv2", torch.cat((x, x1), 1)))
        if options["plus"]:  # figure 2 of the paper of ESRGAN+
            x2 = x2 + F.conv2d(x, state[f"body.0.rdb{j}.conv1x1.weight"])
        x3 = lrelu(conv(f"body.0.rdb{j}.conv3", torch.cat((x, x1, x2), 1)))
        x4 = lrelu(conv(f"body.0.rdb{j}.conv4", torch.cat((x, x1, x2, x3), 1)))
        if options["plus"]:
            x4 = x4 + x2
        x5 = conv(f"body.0.rdb{j}.conv5", torch.cat((x, x1, x2, x3, x4), 1))
        x = x + beta * x5
    x = first + conv("conv_body", first + beta * x)
    for k in range(1, int(math.log2(options["scale_factor"] * u)) + 1):
        if options["use_subpixel_conv"]:
            x = conv(f"conv_up{k}", x)
            n, c, h, w = x.shape
            x = x.reshape(n, c // 4, 2, 2, h, w).permute(0, 1, 4, 2, 5, 3)
            x = lrelu(x.reshape(n, c // 4, 2 * h, 2 * w))
        else:
            x = lrelu(conv(f"conv_up{k}", x.repeat_interleave(2, 2).repeat_interleave(2, 3)))
    return conv("conv_last", lrelu(conv("conv_hr", x)))


@pytest.mark.parametrize(
    "options",
    [
        {"scale_factor": 1},
        {"scale_factor": 2, "residual_scaling": 1.0},
        {"scale_factor": 4},
        {"scale_factor": 8, "residual_scaling": 0.5},
        {"scale_factor": 4, "use_subpixel_conv": True},
        {"scale_factor": 2, "unshuffle": 2},
        {"scale_factor": 1, "unshuffle": 4, "use_subpixel_conv": True},
        {"scale_factor": 4, "plus": True},
        {"scale_factor": 2, "img_channels": 3, "out_channels": 1},
    ],
    ids=str,
)
def test_rrdbnet_computes_the_papers_equations(options: dict[str, float]) -> None:
    network = RRDBNet(**SMALL, **options).double()
    for parameter in network.parameters():  # the initial weights are too small to matter
        torch.nn.init.normal_(parameter, std=0.3)
    image = torch.rand(2, 3, 4, 8, dtype=torch.float64)
    expected = published_rrdbnet(network, image)
    torch.testing.assert_close(network(image), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("subpixel", [False, True])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8, 16])
def test_output_is_exactly_scale_times_the_input(scale: int, subpixel: bool) -> None:
    network = RRDBNet(scale_factor=scale, use_subpixel_conv=subpixel, **SMALL)
    assert network(torch.rand(1, 3, 3, 5)).shape == (1, 3, 3 * scale, 5 * scale)


@pytest.mark.parametrize(("scale", "unshuffle"), [(1, 2), (1, 4), (2, 2), (4, 2), (2, 4)])
def test_unshuffled_input_gives_the_scale_asked_for(scale: int, unshuffle: int) -> None:
    network = RRDBNet(scale_factor=scale, unshuffle=unshuffle, img_channels=1, **SMALL)
    assert network.multiple_of == unshuffle
    assert network.conv_first.in_channels == unshuffle**2
    assert network(torch.rand(1, 1, 8, 4)).shape == (1, 1, 8 * scale, 4 * scale)


def test_compact_adds_to_the_nearest_neighbour_enlargement() -> None:
    network = SRVGGNetCompact(scale_factor=2, num_features=4, num_convolutions=1)
    for parameter in network.body[-1].parameters():
        torch.nn.init.zeros_(parameter)
    image = torch.rand(1, 3, 3, 4)
    assert torch.equal(network(image), image.repeat_interleave(2, 2).repeat_interleave(2, 3))
    network.body[-1].bias.data.copy_(torch.arange(12.0))
    added = network(image) - image.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(added[0, 1, :2, :2], torch.tensor([[4.0, 5.0], [6.0, 7.0]]))


@pytest.mark.parametrize(("activation", "negative"), [("relu", 0.0), ("leakyrelu", 0.1)])
def test_compact_computes_with_the_activation_it_is_given(activation: str, negative: float) -> None:
    network = SRVGGNetCompact(num_features=4, num_convolutions=1, activation=activation).double()
    first, _, second, _, last = network.body
    image = torch.rand(1, 3, 5, 6, dtype=torch.float64)
    features = image
    for convolution in (first, second):
        features = convolution(features)
        features = torch.where(features > 0, features, negative * features)
    enlarged = image.repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(network(image), F.pixel_shuffle(last(features), 4) + enlarged)


@pytest.mark.parametrize("activation", ["prelu", "relu", "leakyrelu"])
def test_a_new_compact_network_lets_the_image_through_and_adds_little(activation: str) -> None:
    torch.manual_seed(0)
    network = SRVGGNetCompact(activation=activation)
    spreads, image = [], torch.rand(1, 3, 40, 40)
    for module in network.body:
        image = module(image)
        spreads.append(image[..., 18:-18, 18:-18].std((2, 3)).mean().item())  # clear of the borders
    assert spreads[-2] > 0.2 * spreads[0]
    assert 0 < spreads[-1] < 0.1


def test_initial_weights_of_the_blocks_are_a_tenth_of_hes() -> None:
    network = RRDBNet(num_basic_blocks=1, use_subpixel_conv=True)
    for name, parameter in network.body.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        else:
            he = math.sqrt(2 / (9 * parameter.shape[1]))
            assert parameter.std().item() == pytest.approx(0.1 * he, rel=0.1), name


def test_a_new_network_lets_the_image_through() -> None:
    torch.manual_seed(0)
    network = RRDBNet(num_basic_blocks=1)
    images = torch.rand(8, 3, 1, 1).expand(-1, -1, 8, 8)  # differ only in colour
    with torch.no_grad():
        outputs = network(images)[:, :, 16, 16]
    # Small weights in every layer gave less than 1e-5.
    assert outputs.std(dim=0).max() > 1e-3


def test_key_names_are_basicsrs() -> None:
    network = RRDBNet(**SMALL, num_dense_blocks=2, num_residual_blocks=2)
    assert [
        name.removesuffix(".weight") for name in network.state_dict() if "bias" not in name
    ] == [
        *("conv_first", "body.0.rdb1.conv1", "body.0.rdb1.conv2", "body.0.rdb2.conv1"),
        *("body.0.rdb2.conv2", "conv_body", "conv_up1", "conv_up2", "conv_hr", "conv_last"),
    ]
    compact = SRVGGNetCompact(num_convolutions=1)
    assert [name for name in compact.state_dict() if "bias" not in name] == [
        f"body.{i}.weight" for i in range(5)
    ]


@pytest.mark.parametrize("network", small_generators(), ids=generator_id)
def test_the_stated_facts_are_those_of_the_output(network: Generator) -> None:
    side = 4 * network.multiple_of
    output = network(torch.rand(2, network.in_channels, side, 2 * side))
    scale = network.scale_factor
    assert output.shape == (2, network.out_channels, scale * side, scale * 2 * side)


@pytest.mark.parametrize("network", small_generators(), ids=generator_id)
def test_architecture_rebuilds_the_network(network: Generator) -> None:
    rebuilt = build_generator(network.arch, network.architecture)
    rebuilt.load_state_dict(network.state_dict())
    image = torch.rand(1, network.in_channels, 8, 12)
    assert type(rebuilt) is type(network)
    assert rebuilt.architecture == network.architecture
    assert torch.equal(rebuilt(image), network(image))


@pytest.mark.parametrize("network", small_generators(), ids=generator_id)
def test_a_network_is_recognised_by_its_own_row_and_by_no_other(network: Generator) -> None:
    state = network.state_dict()
    found = {arch: row.recognise(state, {}) for arch, row in ARCHITECTURES.items()}
    assert [arch for arch, recognised in found.items() if recognised] == [network.arch]


@pytest.mark.parametrize(
    "option",
    [
        {"scale_factor": 5},
        {"scale_factor": 0},
        {"scale_factor": 3, "unshuffle": 2},
        {"unshuffle": 3},
        {"img_channels": 2},
        {"rrdb_channels": 0},
        {"growth_channels": 0},
        {"num_basic_blocks": 0},
        {"num_dense_blocks": 0},
        {"num_residual_blocks": 0},
        {"residual_scaling": 0.0},
        {"residual_scaling": 1.5},
        {"residual_scaling": math.nan},
        {"out_channels": 2},
        {"num_residual_blocks": 2, "plus": True},
    ],
    ids=str,
)
def test_rrdbnet_names_the_option_outside_its_range(option: dict[str, float]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(option))):
        RRDBNet(**option)


@pytest.mark.parametrize(
    "option",
    [
        {"scale_factor": 0},
        {"scale_factor": 65},
        {"img_channels": 2},
        {"num_features": 0},
        {"activation": "gelu"},
        {"out_channels": 1},
    ],
    ids=str,
)
def test_compact_names_the_option_outside_its_range(option: dict[str, int]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(option))):
        SRVGGNetCompact(**option)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ArgumentError, match=r"'SwinIR'.* RRDBNet, SRVGGNetCompact"):
        build_generator("SwinIR", {})
