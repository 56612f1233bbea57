"""Random views: the same for both images, and in time every shift and symmetry."""

import torch

from sr_train.stages import random_view


def coordinates(height: int, width: int) -> torch.Tensor:
    """An image in which every pixel has another value."""
    return torch.arange(height * width, dtype=torch.float32).reshape(1, 1, height, width)


def test_every_shift_and_every_symmetry_occurs() -> None:
    image = coordinates(12, 12)
    views = (random_view(0, batch, 4)(image) for batch in range(2000))
    seen = {(view.shape, tuple(view.flatten().tolist())) for view in views}
    assert len(seen) == 16 * 8


def test_a_view_cuts_less_than_the_scale_and_keeps_every_other_pixel() -> None:
    image = coordinates(16, 20)
    for batch in range(50):
        viewed = random_view(3, batch, 2)(image)
        assert sorted(viewed.shape[2:]) in ([15, 19], [15, 20], [16, 19], [16, 20])
        assert viewed.unique().numel() == viewed.numel()


def test_every_mini_batch_has_its_own_view_and_always_the_same() -> None:
    image = coordinates(16, 16)
    views = [random_view(0, batch, 4)(image) for batch in (7, 7, 8)]
    assert torch.equal(views[0], views[1])
    assert views[0].shape != views[2].shape or not torch.equal(views[0], views[2])
