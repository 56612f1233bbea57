"""Files that this project writes are read by spandrel, and compute the same there, and back."""

import importlib.util
from pathlib import Path

import pytest
import torch

from sr_train.checkpoint import load_generator, save_generator
from sr_train.models.generator import Generator
from sr_train.models.spandrel_network import spandrel_generator
from tests.small_generators import generator_id, small_generators

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("spandrel") is None, reason="spandrel is not installed"
)

# spandrel's RealPLKSR is only for RGB, and other tests have RRDBNet in all its layouts.
NETWORKS = [each for each in small_generators() if each.arch != "RRDBNet" and each.in_channels == 3]


@pytest.mark.parametrize("network", NETWORKS, ids=generator_id)
def test_spandrel_computes_the_same_from_our_file_and_we_from_its_tensors(
    network: Generator, tmp_path: Path
) -> None:
    save_generator(network, tmp_path / "ours.pth")
    state = torch.load(tmp_path / "ours.pth", weights_only=True)["params"]
    theirs = spandrel_generator(state)
    assert theirs is not None
    assert theirs.scale_factor == network.scale_factor
    torch.save(theirs.network.state_dict(), tmp_path / "theirs.pth")
    ours = load_generator(tmp_path / "theirs.pth")
    assert (ours.arch, ours.architecture) == (network.arch, network.architecture)
    # SPAN's attention enlarges every rounding, that of spandrel's mean colour to fp32 too.
    image, limits = torch.rand(1, 3, 16, 21, dtype=torch.float64), {"rtol": 1e-4, "atol": 1e-5}
    with torch.inference_mode():
        wanted = network.double()(image)
        torch.testing.assert_close(theirs.double()(image), wanted, **limits)
        torch.testing.assert_close(ours.double()(image), wanted, **limits)
