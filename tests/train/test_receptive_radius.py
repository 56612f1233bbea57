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
def test_a_pixel_changes_all_output_within_the_radius_and_none_beyond(
    network: Generator, seed: int
) -> None:
    # With positive weights and no bias nothing cancels, and a black image stays exactly black: one
    # white pixel gives an output other than zero exactly where it can be seen.
    generator = torch.Generator().manual_seed(seed)
    network = network.double()
    for name, parameter in network.named_parameters():
        weights = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = torch.zeros_like(weights) if name.endswith("bias") else weights + 0.1

    # Tiles begin at multiples of `multiple_of`, so distances are counted in squares of that side.
    assert network.receptive_radius is not None
    side = network.multiple_of
    radius = network.receptive_radius // side
    squares = torch.tensor((2 * radius + 4, radius + 6))
    at = [int(torch.randint(int(n) * side, (), generator=generator)) for n in squares]
    size = (squares * side).tolist()
    image = torch.zeros(1, network.in_channels, *size, dtype=torch.float64)
    image[0, :, at[0], at[1]] = 1
    with torch.no_grad():
        output = network(image)
    seen = F.max_pool2d(output.abs(), network.scale_factor * side)[0].amax(0) > 0

    rows, columns = (
        (torch.arange(int(n)) - p // side).abs() <= radius for n, p in zip(squares, at, strict=True)
    )
    assert network.receptive_radius % side == 0
    assert torch.equal(seen, rows[:, None] & columns)


@pytest.mark.parametrize(
    ("options", "radius"),
    [({}, 349), ({"scale_factor": 2, "unshuffle": 2}, 698), ({"num_basic_blocks": 6}, 94)],
    ids=str,
)
def test_radius_of_the_published_networks(options: dict[str, int], radius: int) -> None:
    with torch.device("meta"):
        assert RRDBNet(**{"num_basic_blocks": 23} | options).receptive_radius == radius
