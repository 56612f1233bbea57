"""How tiles of a network must be cut is measured, and what they change where nothing helps."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sr_export.photos import calibration_images
from sr_export.tile_facts import TileFacts, measure_tiles
from sr_runtime.backends.out_of_memory import memory_for_network
from sr_runtime.errors import ModelError, OutOfMemoryError
from sr_train.models.generator import Generator


class Enlarging(Generator):
    """Enlarges twice by repeating pixels, after what a subclass does to them."""

    arch = "Enlarging"

    def __init__(self, *, multiple_of: int = 1) -> None:
        super().__init__(
            scale_factor=2,
            in_channels=3,
            out_channels=3,
            multiple_of=multiple_of,
            min_side=multiple_of,
            receptive_radius=None,
            architecture={},
        )

    def forward(self, image: Tensor) -> Tensor:
        return F.interpolate(self.seen(image), scale_factor=2, mode="nearest")

    def seen(self, image: Tensor) -> Tensor:
        """What is enlarged."""
        return image


class Averaging(Enlarging):
    """Looks at the whole image, as channel attention does."""

    def seen(self, image: Tensor) -> Tensor:
        return image + 0.5 * image.mean(dim=(2, 3), keepdim=True)


class Windows(Enlarging):
    """Takes each window of 8×8 for itself, as attention in windows does."""

    def seen(self, image: Tensor) -> Tensor:
        mean = F.avg_pool2d(image, 8)
        return image - F.interpolate(mean, scale_factor=8, mode="nearest") + 0.5


class Refusing(Enlarging):
    def seen(self, image: Tensor) -> Tensor:
        raise ValueError("no such size")


class Random(Enlarging):
    def seen(self, image: Tensor) -> Tensor:
        return image + 0.1 * torch.rand_like(image)


class Exhausting(Enlarging):
    def seen(self, image: Tensor) -> Tensor:
        return image + torch.empty(1 << 50)


def test_a_network_without_context_needs_the_smallest_halo() -> None:
    assert measure_tiles(Enlarging(), calibration_images()[:1]) == TileFacts(8, 1, 1)


def test_tiles_of_a_network_of_windows_start_where_windows_do() -> None:
    facts = measure_tiles(Windows(multiple_of=8), calibration_images()[:1])
    assert (facts.phase, facts.tile_error) == (8, 1)
    assert facts.halo in (8, 16)


def test_what_tiles_change_is_stated_where_a_network_looks_at_the_whole_image() -> None:
    facts = measure_tiles(Averaging(), calibration_images()[:1])
    assert 1 < facts.tile_error < 128


def test_a_network_that_cannot_be_computed_is_refused() -> None:
    with pytest.raises(ModelError, match="no such size"):
        measure_tiles(Refusing(), calibration_images()[:1])


def test_a_network_that_draws_random_numbers_is_refused() -> None:
    with pytest.raises(ModelError, match=r"random numbers: two results .* differ by 0\.\d"):
        measure_tiles(Random(), calibration_images()[:1])


def test_too_little_memory_is_no_fault_of_the_network() -> None:
    with pytest.raises(OutOfMemoryError), memory_for_network("export the model"):
        measure_tiles(Exhausting(), calibration_images()[:1])


def test_a_network_is_left_as_it_was() -> None:
    network = Windows(multiple_of=8).train()
    measure_tiles(network, calibration_images()[:1])
    assert network.training
    assert not torch.is_inference(network(torch.zeros(1, 3, 8, 8)))
