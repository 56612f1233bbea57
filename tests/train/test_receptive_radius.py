"""`receptive_radius` is exact: a pixel on it changes the output, and no pixel beyond it does."""

import pytest
import torch
from torch.nn import functional as F

from sr_train.models.generator import Generator
from sr_train.models.rrdbnet import RRDBNet
from tests.small_generators import generator_id, small_generators

TINY = {"rrdb_channels": 2, "growth_channels": 1, "num_basic_blocks": 1, "img_channels": 1}

NETWORKS = [
    *(network for network in small_generators() if network.receptive_radius is not None),
    *(RRDBNet(scale_factor=s, **TINY) for s in (1, 2, 3, 4, 8)),
    *(RRDBNet(scale_factor=s, use_subpixel_conv=True, **TINY) for s in (2, 3, 4, 8)),
    *(RRDBNet(scale_factor=s, unshuffle=u, **TINY) for s, u in ((1, 2), (2, 2), (1, 4), (4, 2))),
    RRDBNet(scale_factor=2, unshuffle=2, use_subpixel_conv=True, **TINY),
    RRDBNet(**TINY | {"num_basic_blocks": 2}, num_dense_blocks=2, num_residual_blocks=3),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("network", NETWORKS, ids=generator_id)
def test_an_output_depends_on_all_pixels_within_the_radius_and_on_none_beyond(
    network: Generator, seed: int
) -> None:
    # With positive weights and a bright image all activations are positive, so nothing cancels: the
    # gradient of an output is zero exactly where the image cannot change it. The weights of a value
    # add up to about two: with more a sigmoid would be 1 whatever comes, with less SPAN's attention
    # would fade to 0.
    generator = torch.Generator().manual_seed(seed)
    network = network.double()
    for name, parameter in network.named_parameters():
        weights = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = torch.zeros_like(weights) if name.endswith("bias") else weights + 0.1
        parameter.data *= 3 / parameter[0].numel()

    # Tiles begin at multiples of `multiple_of`, so distances are counted in squares of that side.
    assert network.receptive_radius is not None
    side = network.multiple_of
    radius = network.receptive_radius // side
    squares = torch.tensor((2 * radius + 4, radius + 6))
    at = [int(torch.randint(int(n), (), generator=generator)) for n in squares]
    size = (squares * side).tolist()
    image = torch.ones(1, network.in_channels, *size, dtype=torch.float64, requires_grad=True)
    top, left = (place * side * network.scale_factor for place in at)
    block = network.scale_factor * side
    output = network(image)[..., top : top + block, left : left + block]
    (gradient,) = torch.autograd.grad(output.sum(), image)
    seen = F.max_pool2d(gradient.abs(), side)[0].amax(0) > 0

    rows, columns = ((torch.arange(int(n)) - p).abs() for n, p in zip(squares, at, strict=True))
    distances = torch.maximum(rows[:, None], columns)
    measured = side * int(distances[seen].max())
    assert measured == network.receptive_radius
    assert torch.equal(seen, distances <= radius)


@pytest.mark.parametrize(
    ("options", "radius"),
    [({}, 349), ({"scale_factor": 2, "unshuffle": 2}, 698), ({"num_basic_blocks": 6}, 94)],
    ids=str,
)
def test_radius_of_the_published_networks(options: dict[str, int], radius: int) -> None:
    with torch.device("meta"):
        assert RRDBNet(**{"num_basic_blocks": 23} | options).receptive_radius == radius
