"""One image through a generator in PyTorch: gray, colour, and sizes that it cannot take."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sr_runtime.errors import ArgumentError
from sr_train.inference import tensor_from_image, upscale_torch
from tests.conftest import tiny_generator

CPU = torch.device("cpu")


def gray(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 1), np.uint8)


def test_gray_images_pass_through_an_rgb_generator() -> None:
    generator = tiny_generator()
    image = gray(9, 7)
    result = upscale_torch(generator, image)
    assert result.shape == (36, 28, 1)
    with torch.no_grad():
        rgb = generator(tensor_from_image(image.repeat(3, axis=2), CPU))[0].numpy()
    luma = np.tensordot([0.299, 0.587, 0.114], rgb, 1).clip(0, 1)
    np.testing.assert_allclose(result[:, :, 0], 255 * luma, atol=0.501)


def test_color_is_refused_by_a_gray_generator() -> None:
    with pytest.raises(ArgumentError, match=r"1 channel.*has 3"):
        upscale_torch(tiny_generator(img_channels=1), gray(8, 8).repeat(3, axis=2))


def test_sizes_that_an_unshuffling_generator_cannot_take_are_padded_and_cropped() -> None:
    generator = tiny_generator(scale_factor=2, unshuffle=2)
    image = gray(9, 7).repeat(3, axis=2)
    padded = np.pad(image, ((0, 1), (0, 1), (0, 0)), mode="edge")
    result = upscale_torch(generator, image)
    np.testing.assert_array_equal(result, upscale_torch(generator, padded)[:18, :14])
