"""What others do, in plain PyTorch, for comparison: a loop over tiles, training steps."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from sr_train.config.schema import Config
from sr_train.models.features import FeatureNetwork
from sr_train.models.generator import Generator
from sr_train.stages import build_discriminator

__all__ = ["Step", "plain_gan", "plain_pretraining", "torch_tile_loop"]

Step = Callable[[Tensor, Tensor], Tensor]
"""Learns from a mini-batch of uint8 LR and HR crops; returns its losses."""


@torch.inference_mode()
def torch_tile_loop(
    generator: Generator, image: NDArray[np.uint8], *, tile: int = 400, tile_pad: int = 10
) -> NDArray[np.uint8]:
    """Upscale `(H, W, C)` as Real-ESRGAN's Python does: eagerly, one tile after the other.

    Tiles of `tile` pixels get `tile_pad` pixels of context where the image has them. Everything is
    computed on the device and in the dtype of the generator's weights.
    """
    scale = generator.scale_factor
    height, width, channels = image.shape
    weight = next(generator.parameters())
    tensor = torch.tensor(image).permute(2, 0, 1)[None].to(weight.device, weight.dtype) / 255
    result = tensor.new_empty(1, channels, height * scale, width * scale)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            y, x = max(top - tile_pad, 0), max(left - tile_pad, 0)
            padded = tensor[:, :, y : bottom + tile_pad, x : right + tile_pad]
            output = generator(padded)[
                :,
                :,
                (top - y) * scale : (bottom - y) * scale,
                (left - x) * scale : (right - x) * scale,
            ]
            result[:, :, top * scale : bottom * scale, left * scale : right * scale] = output
    return (result[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()


def plain_pretraining(config: Config, generator: Generator, device: torch.device) -> Step:
    """Stage 1 as most projects write it: eager FP32 in PyTorch's own memory format."""
    generator = generator.to(device)
    optimizer = torch.optim.Adam(generator.parameters(), lr=config.pretraining.lr)

    def step(lr: Tensor, hr: Tensor) -> Tensor:
        low, high = lr.to(device) / 255, hr.to(device) / 255
        optimizer.zero_grad()
        content = F.l1_loss(generator(low), high)
        content.backward()
        optimizer.step()
        return content.detach()[None]

    return step


def plain_gan(
    config: Config, generator: Generator, features: FeatureNetwork, device: torch.device
) -> Step:
    """Stage 2 as most projects write it: eager FP32 in PyTorch's own memory format."""
    generator, features = generator.to(device), features.to(device)
    discriminator = build_discriminator(config).to(device)
    options = config.training
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=options.g_lr, betas=options.betas)
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=options.d_lr, betas=options.betas)

    def step(lr: Tensor, hr: Tensor) -> Tensor:
        low, high = lr.to(device) / 255, hr.to(device) / 255
        discriminator.requires_grad_(False)
        g_optimizer.zero_grad()
        sr = generator(low)
        content = F.l1_loss(sr, high)
        wanted, made = features(high), features(sr)
        layers = config.perceptual_loss.layer_weights.items()
        distances = [w * F.l1_loss(made[k], wanted[k].detach()) for k, w in layers]
        perceptual = torch.stack(distances).sum()
        adversarial = _relativistic(discriminator(sr), discriminator(high).detach())
        (
            perceptual
            + options.g_adversarial_loss_scaling * adversarial
            + options.g_content_loss_scaling * content
        ).backward()
        g_optimizer.step()

        discriminator.requires_grad_(True)
        d_optimizer.zero_grad()
        d_adversarial = _relativistic(discriminator(high), discriminator(sr.detach()))
        d_adversarial.backward()
        d_optimizer.step()
        return torch.stack([content, perceptual, adversarial, d_adversarial]).detach()

    return step


def _relativistic(better: Tensor, worse: Tensor) -> Tensor:
    """The loss of judging `better` less realistic than the other."""
    above, below = better - worse.mean(), worse - better.mean()
    ones, zeros = torch.ones_like(above), torch.zeros_like(below)
    cross_entropy = F.binary_cross_entropy_with_logits
    return cross_entropy(above, ones) + cross_entropy(below, zeros)
