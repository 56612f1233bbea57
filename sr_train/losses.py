"""What the two stages minimise, as pure functions; all compute in fp32, whatever they are given.

Logits are those of a discriminator, before any sigmoid, of any shape: one an image or one a pixel.
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
    """Σ weight · mean distance of features over the layers of `config.layer_weights`.

    Johnson et al., 2016 (arXiv:1603.08155); ESRGAN, section 3.3. With `config.normalize_loss` it is
    divided by the sum of the weights. HR features are targets: no gradient goes to them.
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
    """What the generator minimises, from the logits of HR (`real`) and SR (`fake`); a scalar.

    ragan: ESRGAN's equation 2, the sum of two expectations; `mean` is the one inside D_Ra, which
    several processes take over all their logits. The others don't look at `real`: vanilla is the
    non-saturating loss of Goodfellow et al. (2014), lsgan ½·E[(C(x_f) − 1)²] of Mao et al. (2017),
    and hinge, wgan and wgan-gp −E[C(x_f)].
    """
    fake = fake.float()
    match type:
        case "ragan":
            assert real is not None
            real_above, fake_above = _relative(real.float(), fake, mean)
            # log(1 − σ(x)) is log σ(−x), and logsigmoid is finite for any logit.
            return -F.logsigmoid(-real_above).mean() - F.logsigmoid(fake_above).mean()
        case "vanilla":
            return -F.logsigmoid(fake).mean()
        case "lsgan":
            return (fake - 1).square().mean() / 2
        case "hinge" | "wgan" | "wgan-gp":
            return -fake.mean()


def discriminator_loss(
    type: AdversarialType, real: Tensor, fake: Tensor, mean: Mean = torch.mean
) -> Tensor:
    """What the discriminator minimises, from its logits of HR (`real`) and SR (`fake`); a scalar.

    ragan: ESRGAN's equation 1, the sum of two expectations (Jolicoeur-Martineau, 2018,
    arXiv:1807.00734), with `mean` as in `generator_loss`. vanilla: cross-entropy, −E[log σ(C(x_r))]
    − E[log(1 − σ(C(x_f)))]. lsgan: ½·E[(C(x_r) − 1)²] + ½·E[C(x_f)²]. hinge: E[max(0, 1 − C(x_r))]
    + E[max(0, 1 + C(x_f))] (Lim and Ye, 2017). wgan and wgan-gp: E[C(x_f)] − E[C(x_r)] (Arjovsky et
    al., 2017); the penalty of wgan-gp is apart.
    """
    real, fake = real.float(), fake.float()
    match type:
        case "ragan":
            real_above, fake_above = _relative(real, fake, mean)
            return -F.logsigmoid(real_above).mean() - F.logsigmoid(-fake_above).mean()
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

    Gulrajani et al., 2017 (arXiv:1704.00028), equation 3, without the weight. The points are drawn
    from `generator`, one for each pair. The critic's value of an image is the mean of its logits.
    It is differentiable, for the discriminator to minimise it.
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
    """Each side's logits above the other side's mean: D_Ra is the sigmoid of either."""
    return real - mean(fake), fake - mean(real)
