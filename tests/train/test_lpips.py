"""LPIPS with its published weights on real photos."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sr_runtime.errors import ModelError
from sr_runtime.image import read
from sr_train.config.schema import Validation
from sr_train.inference import tensor_from_image
from sr_train.lpips import LPIPS, load_lpips


@pytest.fixture(scope="module")
def lpips(data: Path) -> LPIPS:
    weights = data / "weights"
    return load_lpips(
        Validation(
            squeezenet_weights=str(weights / "squeezenet1_1_features.pth"),
            lpips_weights=str(weights / "lpips_squeeze_linear.pth"),
        ),
        Path("nowhere"),
    )


@pytest.fixture(scope="module")
def photo(data: Path) -> Tensor:
    pixels = read(data / "photos" / "chelsea.png").frames[0][60:188, 100:228]
    return tensor_from_image(pixels, torch.device("cpu"))


def test_it_gives_the_value_in_the_documentation_of_torchmetrics(lpips: LPIPS) -> None:
    """The example of learned_perceptual_image_patch_similarity(net_type='squeeze'): 0.1008."""
    torch.manual_seed(123)
    a, b = torch.rand(10, 3, 100, 100), torch.rand(10, 3, 100, 100)
    assert lpips(a, b).shape == (10,)
    assert lpips(a, b).mean().item() == pytest.approx(0.1008, abs=5e-5)


def test_equal_images_have_distance_0_and_finite_gradients(lpips: LPIPS, photo: Tensor) -> None:
    for image in (photo, torch.zeros_like(photo), torch.ones_like(photo)):
        moved = image.clone().requires_grad_()
        distance = lpips(moved, image)
        assert distance.item() == 0
        distance.sum().backward()
        assert moved.grad is not None
        assert moved.grad.isfinite().all()


def test_it_is_symmetric_and_the_same_in_any_batch(lpips: LPIPS, photo: Tensor) -> None:
    other = photo.flip(2)
    torch.testing.assert_close(lpips(photo, other), lpips(other, photo))
    both = lpips(torch.cat((photo, photo)), torch.cat((other, photo)))
    torch.testing.assert_close(both, torch.cat((lpips(photo, other), torch.zeros(1))))


def test_it_grows_with_blur_and_with_noise(lpips: LPIPS, photo: Tensor) -> None:
    blurred = [F.avg_pool2d(photo, k, 1, k // 2, count_include_pad=False) for k in (1, 3, 5, 9)]
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    noisy = [(photo + strength * noise).clamp(0, 1) for strength in (0, 0.02, 0.05, 0.2)]
    for series in (blurred, noisy):
        distances = [lpips(image, photo).item() for image in series]
        assert distances == sorted(distances)
        assert distances[0] < 1e-6
        assert distances[1] > 1e-3


def test_remembering_the_original_changes_no_distance(lpips: LPIPS, data: Path) -> None:
    image = read(data / "photos" / "chelsea.png").frames[0]
    first, second = image[60:100, 100:140], image[100:140, 60:100]
    remembering = lpips.remembering()
    originals = [first, first.copy(), second, first]
    for k, original in enumerate(originals):
        result = np.roll(original, k, axis=0)
        assert remembering(result, original) == lpips.of_images(result, original)


def test_gray_counts_as_equal_red_green_and_blue(lpips: LPIPS, photo: Tensor) -> None:
    gray = photo.mean(1, keepdim=True)
    torch.testing.assert_close(lpips(gray, photo), lpips(gray.repeat(1, 3, 1, 1), photo))


def test_autocast_does_not_change_it(lpips: LPIPS, photo: Tensor) -> None:
    expected = lpips(photo, photo.flip(3))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(lpips(photo, photo.flip(3)), expected)


def test_heads_of_another_network_are_refused(data: Path) -> None:
    squeezenet = str(data / "weights" / "squeezenet1_1_features.pth")
    wrong = Validation(squeezenet_weights=squeezenet, lpips_weights=squeezenet)
    with pytest.raises(ModelError, match=r"no tensor 'lin0\.model\.1\.weight'"):
        load_lpips(wrong, Path("nowhere"))
