"""The losses of both stages, as pure functions that compute in fp32 whatever they are given.

Logits are the output of a discriminator before any sigmoid: one for each image or for each pixel.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from sr_train.config.schema import PerceptualLoss

__all__ = [
    "AdversarialType",
    "content_loss",
    "discriminator_loss",
    "generator_loss",
    "gradient_penalty",
    "perceptual_loss",
]

AdversarialType = Literal["ragan", "vanilla", "lsgan", "hinge", "wgan", "wgan-gp"]
Mean = Callable[[Tensor], Tensor]


def content_loss(sr: Tensor, hr: Tensor, loss_f: Literal["l1", "l2", "mse"]) -> Tensor:
    """Mean absolute difference, or mean squared difference (`l2` and `mse`), of `(N, C, H, W)`."""
    return _distance(loss_f)(sr.float(), hr.float())


def perceptual_loss(
    sr_features: Mapping[str, Tensor], hr_features: Mapping[str, Tensor], config: PerceptualLoss
) -> Tensor:
    """The weighted sum over `config.layer_weights` of the features' mean distance; a scalar.

    Johnson et al., 2016 (arXiv:1603.08155); ESRGAN, section 3.3. `config.normalize_loss` divides it
    by the sum of the weights. HR features are targets and get no gradient.
    """
    distance = _distance(config.criterion)
    layers = config.layer_weights.items()
    losses = [
        weight * distance(sr_features[layer].float(), hr_features[layer].detach().float())
        for layer, weight in layers
    ]
    total = torch.stack(losses).sum()
    return total / sum(config.layer_weights.values()) if config.normalize_loss else total


def generator_loss(
    type: AdversarialType, real: Tensor | None, fake: Tensor, mean: Mean = torch.mean
) -> Tensor:
    """The generator's adversarial loss, from the logits of HR (`real`) and SR (`fake`); a scalar.

    - ragan: −E[log(1 − D_Ra(x_r, x_f))] − E[log D_Ra(x_f, x_r)], ESRGAN's equation 2.
    - vanilla: −E[log σ(C(x_f))], the non-saturating loss of Goodfellow et al. (2014).
    - lsgan: ½·E[(C(x_f) − 1)²] (Mao et al., 2017).
    - hinge, wgan and wgan-gp: −E[C(x_f)].

    D_Ra(a, b) is σ(C(a) − E[C(b)]); `mean` computes this inner E, over the logits of all processes
    where there are several. Only ragan needs `real`. It is the paper's sum; BasicSR halves it, so
    the same weight counts half as much there.
    """
    fake = fake.float()
    match type:
        case "ragan":
            assert real is not None
            real_relative, fake_relative = _relative(real.float(), fake, mean)
            # log(1 − σ(x)) is log σ(−x), and logsigmoid is finite for any logit.
            return -F.logsigmoid(-real_relative).mean() - F.logsigmoid(fake_relative).mean()
        case "vanilla":
            return -F.logsigmoid(fake).mean()
        case "lsgan":
            return (fake - 1).square().mean() / 2
        case "hinge" | "wgan" | "wgan-gp":
            return -fake.mean()


def discriminator_loss(
    type: AdversarialType, real: Tensor, fake: Tensor, mean: Mean = torch.mean
) -> Tensor:
    """The discriminator's loss, from its logits of HR (`real`) and SR (`fake`); a scalar.

    - ragan: −E[log D_Ra(x_r, x_f)] − E[log(1 − D_Ra(x_f, x_r))], ESRGAN's equation 1 after
      Jolicoeur-Martineau, 2018 (arXiv:1807.00734), with `mean` as in `generator_loss`. It is the
      paper's sum, with gradients through both means; BasicSR halves it and detaches the means.
    - vanilla: −E[log σ(C(x_r))] − E[log(1 − σ(C(x_f)))], the cross-entropy.
    - lsgan: ½·E[(C(x_r) − 1)²] + ½·E[C(x_f)²].
    - hinge: E[max(0, 1 − C(x_r))] + E[max(0, 1 + C(x_f))] (Lim and Ye, 2017).
    - wgan and wgan-gp: E[C(x_f)] − E[C(x_r)] (Arjovsky et al., 2017), without wgan-gp's penalty.
    """
    real, fake = real.float(), fake.float()
    match type:
        case "ragan":
            real_relative, fake_relative = _relative(real, fake, mean)
            return -F.logsigmoid(real_relative).mean() - F.logsigmoid(-fake_relative).mean()
        case "vanilla":
            return -F.logsigmoid(real).mean() - F.logsigmoid(-fake).mean()
        case "lsgan":
            return ((real - 1).square().mean() + fake.square().mean()) / 2
        case "hinge":
            return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        case "wgan" | "wgan-gp":
            return fake.mean() - real.mean()


def gradient_penalty(
    discriminator: Callable[[Tensor], Tensor],
    hr: Tensor,
    sr: Tensor,
    generator: torch.Generator | None = None,
) -> Tensor:
    """E[(‖∇C(x̂)‖₂ − 1)²] at random points x̂ between HR and SR, `(N, C, H, W)`; a scalar.

    Gulrajani et al., 2017 (arXiv:1704.00028), equation 3, without the weight λ. `generator` draws
    one point for each pair. The critic's value of an image is the mean of its logits. The penalty
    is differentiable, so the discriminator can minimise it.
    """
    shape = (len(hr), 1, 1, 1)
    mixture = torch.rand(shape, device=hr.device, generator=generator)
    with torch.autocast(hr.device.type, enabled=False):
        between = torch.lerp(sr.detach().float(), hr.float(), mixture).requires_grad_()
        values = discriminator(between).flatten(1).mean(1)
        (gradient,) = torch.autograd.grad(values.sum(), between, create_graph=True)
    norms = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    penalty: Tensor = (norms - 1).square().mean()
    return penalty


def _distance(name: Literal["l1", "l2", "mse"]) -> Callable[[Tensor, Tensor], Tensor]:
    return F.l1_loss if name == "l1" else F.mse_loss


def _relative(real: Tensor, fake: Tensor, mean: Mean) -> tuple[Tensor, Tensor]:
    """Each side's logits minus the other side's mean; their sigmoids are D_Ra."""
    return real - mean(fake), fake - mean(real)
