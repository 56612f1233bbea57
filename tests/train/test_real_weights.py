"""The published networks load with the architecture that their papers give."""

from pathlib import Path

import pytest
import torch

from sr_runtime.errors import ModelError
from sr_train.checkpoint import load_generator, save_generator, weights_sha256


@pytest.mark.slow
@pytest.mark.parametrize("name", ["RRDB_PSNR_x4.pth", "RRDB_ESRGAN_x4.pth"])
def test_the_authors_generators_have_23_blocks(name: str, data: Path) -> None:
    network = load_generator(data / "weights" / name)
    assert network.architecture == {
        "scale_factor": 4,
        "img_channels": 3,
        "rrdb_channels": 64,
        "growth_channels": 32,
        "num_basic_blocks": 23,
        "num_dense_blocks": 3,
        "num_residual_blocks": 5,
        "residual_scaling": 0.2,
        "use_subpixel_conv": False,
        "unshuffle": 1,
        "out_channels": 3,
        "plus": False,
    }
    assert network.receptive_radius == 349
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


def test_the_anime_network_is_compact_and_converts_both_ways(data: Path, tmp_path: Path) -> None:
    network = load_generator(data / "weights" / "realesr-animevideov3.pth")
    assert network.architecture == {
        "scale_factor": 4,
        "img_channels": 3,
        "num_features": 64,
        "num_convolutions": 16,
        "activation": "prelu",
        "out_channels": 3,
    }
    for name in ("anime.safetensors", "anime.pth"):
        save_generator(network, tmp_path / name)
        assert weights_sha256(load_generator(tmp_path / name)) == weights_sha256(network)


@pytest.mark.slow
def test_a_smooth_image_stays_smooth(data: Path) -> None:
    """A wrongly renamed layer would give noise instead of the enlarged input."""
    ramp = torch.linspace(0.2, 0.8, 24).expand(1, 3, 24, 24)
    for name in ("RRDB_PSNR_x4.pth", "realesr-animevideov3.pth"):
        with torch.no_grad():
            output = load_generator(data / "weights" / name)(ramp)
        shrunk = torch.nn.functional.avg_pool2d(output, 4)
        assert (shrunk - ramp)[..., 4:-4, 4:-4].abs().max() < 0.06, name


@pytest.mark.parametrize("name", ["squeezenet1_1_features.pth", "lpips_squeeze_linear.pth"])
def test_weights_of_other_networks_are_refused(name: str, data: Path) -> None:
    with pytest.raises(ModelError, match=r"such as '.+'.*RRDBNet, SRVGGNetCompact|LPIPS"):
        load_generator(data / "weights" / name)
