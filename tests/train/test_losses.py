"""Every loss against its formula, written out in float64 with sigmoids and sums."""

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_train.config.schema import AdversarialLoss, PerceptualLoss
from sr_train.losses import (
    AdversarialType,
    content_loss,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    perceptual_loss,
)

Array = NDArray[np.float64]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def ragan(real: Array, fake: Array) -> tuple[float, float]:
    """ESRGAN's equations 1 and 2: the discriminator's and the generator's loss."""
    d_real = sigmoid(real - fake.mean())
    d_fake = sigmoid(fake - real.mean())
    discriminator = -np.log(d_real).mean() - np.log(1 - d_fake).mean()
    generator = -np.log(1 - d_real).mean() - np.log(d_fake).mean()
    return discriminator, generator


def vanilla(real: Array, fake: Array) -> tuple[float, float]:
    discriminator = -np.log(sigmoid(real)).mean() - np.log(1 - sigmoid(fake)).mean()
    return discriminator, -np.log(sigmoid(fake)).mean()


def lsgan(real: Array, fake: Array) -> tuple[float, float]:
    discriminator = 0.5 * ((real - 1) ** 2).mean() + 0.5 * (fake**2).mean()
    return discriminator, 0.5 * ((fake - 1) ** 2).mean()


def hinge(real: Array, fake: Array) -> tuple[float, float]:
    return np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean(), -fake.mean()


def wgan(real: Array, fake: Array) -> tuple[float, float]:
    return fake.mean() - real.mean(), -fake.mean()


PLAIN: dict[AdversarialType, Callable[[Array, Array], tuple[float, float]]] = {
    "ragan": ragan,
    "vanilla": vanilla,
    "lsgan": lsgan,
    "hinge": hinge,
    "wgan": wgan,
    "wgan-gp": wgan,
}

LOGITS = arrays(
    np.float64, array_shapes(min_dims=1, max_dims=4, max_side=4), elements=st.floats(-12, 12)
)


def test_every_loss_of_the_configuration_has_a_formula_here() -> None:
    (configured,) = {AdversarialLoss.__annotations__["type"]}
    assert set(get_args(configured)) == set(PLAIN) == set(get_args(AdversarialType))


@pytest.mark.parametrize("type", PLAIN)
@given(real=LOGITS, fake=LOGITS)
@settings(max_examples=40, deadline=None)
def test_adversarial_losses_equal_their_formulas(
    type: AdversarialType, real: Array, fake: Array
) -> None:
    discriminator, generator = PLAIN[type](real, fake)
    tensors = torch.tensor(real), torch.tensor(fake)
    assert discriminator_loss(type, *tensors).item() == pytest.approx(discriminator, abs=1e-4)
    assert generator_loss(type, *tensors).item() == pytest.approx(generator, abs=1e-4)


def test_equal_logits_leave_the_relativistic_pair_undecided() -> None:
    logits = torch.full((4, 1), 3.0)
    for loss in (discriminator_loss, generator_loss):
        assert loss("ragan", logits, logits).item() == pytest.approx(2 * np.log(2))


@pytest.mark.parametrize("type", PLAIN)
@pytest.mark.parametrize("loss", [discriminator_loss, generator_loss])
def test_extreme_logits_give_finite_losses_and_gradients(
    loss: Callable[..., Tensor], type: AdversarialType
) -> None:
    real = torch.tensor([[-1e4], [1e4]], requires_grad=True)
    fake = torch.tensor([[1e4], [-1e4]], requires_grad=True)
    value = loss(type, real, fake)
    value.backward()
    assert value.isfinite()
    assert fake.grad is not None
    assert fake.grad.isfinite().all()


@pytest.mark.parametrize("type", sorted(set(PLAIN) - {"ragan"}))
def test_only_the_relativistic_generator_needs_real_logits(type: AdversarialType) -> None:
    fake = torch.randn(4, 1)
    assert generator_loss(type, None, fake) == generator_loss(type, torch.randn(4, 1), fake)


def test_relativistic_gradients_reach_both_sides_through_the_means() -> None:
    """∂L_D/∂real and ∂L_D/∂fake against differences of the paper's equation."""
    rng = np.random.default_rng(0)
    real, fake = rng.normal(size=(2, 3, 1))
    tensors = [torch.tensor(x, dtype=torch.float32, requires_grad=True) for x in (real, fake)]
    discriminator_loss("ragan", *tensors).backward()
    for array, tensor in zip((real, fake), tensors, strict=True):
        assert tensor.grad is not None
        for i in range(3):
            ends = []
            for step in (1e-5, -1e-5):
                array[i] += step
                ends.append(ragan(real, fake)[0])
                array[i] -= step
            difference = (ends[0] - ends[1]) / 2e-5
            assert tensor.grad[i].item() == pytest.approx(difference, abs=1e-5)


def test_parts_of_a_batch_with_the_mean_of_the_whole_add_up_to_it() -> None:
    """What several processes do: each its own logits, all with the same relativistic means."""
    real, fake = torch.randn(2, 6, 1)

    def over_all(logits: Tensor) -> Tensor:
        return real.mean() if logits[0] in real else fake.mean()

    for loss in (discriminator_loss, generator_loss):
        parts = [loss("ragan", real[k : k + 2], fake[k : k + 2], over_all) for k in (0, 2, 4)]
        torch.testing.assert_close(torch.stack(parts).mean(), loss("ragan", real, fake))


def test_content_losses_equal_their_formulas() -> None:
    sr, hr = torch.rand(2, 2, 3, 5, 7)
    difference = sr.double().numpy() - hr.double().numpy()
    assert content_loss(sr, hr, "l1").item() == pytest.approx(np.abs(difference).mean())
    for name in ("l2", "mse"):
        assert content_loss(sr, hr, name).item() == pytest.approx((difference**2).mean())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_reduced_precision_is_left_before_anything_is_summed(dtype: torch.dtype) -> None:
    sr, hr = torch.rand(2, 1, 3, 64, 64).to(dtype)
    expected = (sr.double() - hr.double()).abs().mean().item()
    logits = torch.randn(4096, 1).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        content = content_loss(sr, hr, "l1")
        features = perceptual_loss({"a": sr}, {"a": hr}, PerceptualLoss(layer_weights={"a": 1}))
        adversarial = generator_loss("vanilla", None, logits)
    assert {loss.dtype for loss in (content, features, adversarial)} == {torch.float32}
    assert content.item() == features.item() == pytest.approx(expected, rel=1e-5)
    plain = -np.log(sigmoid(logits.double().numpy())).mean()
    assert adversarial.item() == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("criterion", ["l1", "l2"])
@pytest.mark.parametrize("normalize_loss", [False, True])
def test_the_perceptual_loss_weighs_layers(criterion: str, normalize_loss: bool) -> None:
    config = PerceptualLoss(
        vgg_type="squeezenet1_1",
        layer_weights={"fire2": 0.5, "fire5": 2.0},
        criterion=criterion,  # type: ignore[arg-type]
        normalize_loss=normalize_loss,
    )
    sr = {"fire2": torch.randn(2, 4, 6, 6), "fire5": torch.randn(2, 8, 3, 3)}
    hr = {"fire2": torch.randn(2, 4, 6, 6), "fire5": torch.randn(2, 8, 3, 3)}
    expected = 0.0
    for layer, weight in config.layer_weights.items():
        difference = np.abs(sr[layer].double().numpy() - hr[layer].double().numpy())
        expected += weight * (difference ** (1 if criterion == "l1" else 2)).mean()
    if normalize_loss:
        expected /= 2.5
    assert perceptual_loss(sr, hr, config).item() == pytest.approx(expected)


def test_targets_get_no_gradient() -> None:
    sr, hr = (torch.randn(1, 2, 3, 3, requires_grad=True) for _ in range(2))
    perceptual_loss({"a": sr}, {"a": hr}, PerceptualLoss(layer_weights={"a": 1.0})).backward()
    assert sr.grad is not None
    assert hr.grad is None


def linear_critic(image: Tensor) -> Tensor:
    """Its gradient is 3 in each of 48 directions, everywhere."""
    return 3 * image.flatten(1).sum(1, keepdim=True)


def test_the_gradient_penalty_of_a_linear_critic_is_known() -> None:
    hr, sr = torch.rand(2, 2, 3, 4, 4)
    expected = (3 * np.sqrt(48) - 1) ** 2
    assert gradient_penalty(linear_critic, hr, sr).item() == pytest.approx(expected, rel=1e-6)


def test_the_gradient_penalty_looks_at_one_point_between_each_pair() -> None:
    """For the critic |x|²/2 the gradient is the point itself: −1 at HR = 0 tells how far it is."""
    hr, sr = torch.zeros(64, 1, 1, 1), torch.ones(64, 1, 1, 1)
    seen: list[Tensor] = []

    def critic(image: Tensor) -> Tensor:
        seen.append(image.detach())
        return image.square().flatten(1) / 2

    draws = torch.Generator().manual_seed(1)
    penalty = gradient_penalty(critic, hr, sr, draws)
    (points,) = seen
    assert 0 <= points.min() < 0.1
    assert 0.9 < points.max() <= 1
    torch.testing.assert_close(penalty, (points - 1).square().mean())
    assert gradient_penalty(critic, hr, sr, draws.manual_seed(1)) == penalty


def test_the_gradient_penalty_can_be_minimised() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Conv2d(3, 4, 3), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(144, 1))
    hr, sr = torch.rand(2, 4, 3, 8, 8)
    optimizer = torch.optim.Adam(critic.parameters(), 1e-2)
    penalties = []
    for _ in range(30):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            penalty = gradient_penalty(critic, hr, sr)
        assert penalty.dtype == torch.float32
        penalty.backward()
        optimizer.step()
        penalties.append(penalty.item())
    assert penalties[-1] < 0.1 * penalties[0]
