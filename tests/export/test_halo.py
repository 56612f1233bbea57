"""The halo is the smallest at which tiles match whole images, found without whole images."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sr_export.halo import calibrate_halo
from sr_export.photos import calibration_images, tensor_from_crop
from sr_export.tile_facts import measure_tiles
from sr_runtime.errors import ModelError
from sr_train.models.compact import SRVGGNetCompact
from sr_train.models.generator import Generator
from tests.conftest import tiny_generator


def test_a_network_without_context_gets_the_smallest_halo() -> None:
    generator = SRVGGNetCompact(num_features=8, num_convolutions=2)
    assert calibrate_halo(generator, calibration_images()) == (8, 1)


def shifting_network(convolutions: int) -> SRVGGNetCompact:
    """Every convolution moves the picture one pixel to the left."""
    generator = SRVGGNetCompact(num_features=8, num_convolutions=convolutions - 2)
    layers = [layer for layer in generator.body if isinstance(layer, torch.nn.Conv2d)]
    assert len(layers) == convolutions
    with torch.no_grad():
        for conv in layers:
            conv.bias.zero_()
            conv.weight.zero_()
            for output in range(len(conv.weight)):
                source = output // 16 if conv is layers[-1] else output
                conv.weight[output, source % conv.weight.shape[1], 1, 2] = 1
    return generator


def test_the_halo_grows_until_tiles_match_the_whole_image() -> None:
    assert calibrate_halo(shifting_network(20), calibration_images()) == (24, 1)


@pytest.mark.slow
def test_two_tiles_that_agree_do_not_prove_that_they_match_the_whole_image() -> None:
    # This network shows what is further away than both tiles reach: they agree in showing nothing.
    with pytest.warns(RuntimeWarning, match="64"):
        halo, error = calibrate_halo(shifting_network(150), calibration_images()[:1])
    assert halo == 64
    assert error > 1


def halo_by_whole_images(generator: Generator, images: Sequence[NDArray[np.uint8]]) -> int:
    """What `calibrate_halo` finds, computed from whole images at four times the cost."""

    @torch.inference_mode()
    def core(pixels: NDArray[np.uint8], margin: int) -> NDArray[np.float32]:
        tile = pixels[margin : 256 - margin, margin : 256 - margin]
        output = (generator(tensor_from_crop(tile))[0].clamp(0, 1) * 255).round().numpy()
        cut = slice((96 - margin) * generator.scale_factor, (160 - margin) * generator.scale_factor)
        return output[:, cut, cut]

    halo = 8
    for pixels in images:
        while np.abs(core(pixels, 96 - halo) - core(pixels, 0)).max() > 1:
            halo += 8
    return halo


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "blocks"), [(0, 2), (1, 3)])
def test_the_halo_is_the_one_that_whole_images_would_give(seed: int, blocks: int) -> None:
    generator = tiny_generator(seed, num_basic_blocks=blocks, scale_factor=1)
    images = calibration_images()[:2]
    assert calibrate_halo(generator, images) == (halo_by_whole_images(generator, images), 1)


@pytest.mark.slow
def test_a_network_that_needs_more_than_the_largest_halo_is_warned_of_and_the_facts_say_it() -> (
    None
):
    with pytest.warns(RuntimeWarning, match=r"halo of 64 tiles differ .* by \d+/255") as warned:
        facts = measure_tiles(shifting_network(80), calibration_images()[:1])
    assert facts.halo == 64
    assert f" {facts.tile_error}/255" in str(warned[0].message)
    assert facts.tile_error > 1


def test_an_output_that_is_no_number_is_refused() -> None:
    generator = SRVGGNetCompact(num_features=8, num_convolutions=2)
    with torch.no_grad():
        generator.body[-1].weight[0, 0, 1, 1] = torch.nan
    with pytest.raises(ModelError, match="NaN or infinity"):
        calibrate_halo(generator, calibration_images()[:1])
