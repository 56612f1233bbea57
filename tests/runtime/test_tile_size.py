"""How large tiles are that suit the model and the memory."""

from dataclasses import replace

import pytest

from sr_runtime import Upscaler
from tests.runtime.known_network import KnownNetwork


@pytest.mark.parametrize(
    ("device", "free", "side"),
    [
        ("cpu", 1_000_000_000, 384),
        ("cpu", 16_000_000_000, 768),
        ("cpu", 100_000_000_000, 1920),
        ("cpu", None, 1024),  # macOS does not say
        ("webgpu:0", 1_000_000_000, 1024),  # that is not the memory of the GPU
    ],
)
def test_a_network_that_looks_at_the_whole_image_gets_tiles_as_large_as_half_of_the_memory_holds(
    device: str, free: int | None, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sr_runtime.tile_size.free_memory", lambda: free)
    network = KnownNetwork(radius=4)
    network.device = device
    network.info = replace(network.info, tile_error=40, receptive_radius=None)
    assert Upscaler(network).max_tile == (side, side)
    network.info = replace(network.info, tile_error=1)
    assert Upscaler(network).max_tile == (384, 384)
    network.info = replace(network.info, tile_error=2, halo=1, receptive_radius=4)
    assert Upscaler(network).max_tile == (side, side)
    assert Upscaler(network, halo="exact").max_tile == (384, 384)
