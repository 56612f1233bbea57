"""SRVGGNetCompact, Real-ESRGAN's small generator: plain convolutions and one pixel-shuffle."""

import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_runtime.errors import ArgumentError, ModelError
from sr_train.models.generator import (
    Architecture,
    Generator,
    Recognised,
    check_sizes,
    conv_channels,
    convolutions_to_fill,
    shuffle_scale,
)

__all__ = ["NAMES", "SRVGGNetCompact", "recognise"]

NAMES = re.compile(r"body\.\d+\.(?:weight|bias)$")

SLOPES = {"prelu": 0.25, "relu": 0.0, "leakyrelu": 0.1}
"""The activations, and their slope below 0: PReLU's initial one, and BasicSR's of leakyrelu."""
INITIAL_RESIDUAL = 0.1
"""Training begins close to the nearest-neighbour enlargement."""


class SRVGGNetCompact(Generator):
    """The network of realesr-animevideov3 and realesr-general-x4v3, with BasicSR's key names.

    Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data",
    2021 (arXiv:2107.10833). Every convolution runs at low resolution and learns what to add to the
    nearest-neighbour enlargement.

    `num_convolutions` counts the convolutions between the first and the last, as `num_conv` does in
    BasicSR. `out_channels` differs from `img_channels` only in networks that colour gray images.
    Raises ArgumentError for an option outside its range.
    """

    arch: ClassVar[str] = "SRVGGNetCompact"

    def __init__(
        self,
        *,
        scale_factor: int = 4,
        img_channels: int = 3,
        num_features: int = 64,
        num_convolutions: int = 16,
        activation: str = "prelu",
        out_channels: int | None = None,
    ) -> None:
        architecture: Architecture = {
            "scale_factor": scale_factor,
            "img_channels": img_channels,
            "num_features": num_features,
            "num_convolutions": num_convolutions,
            "activation": activation,
            "out_channels": img_channels if out_channels is None else out_channels,
        }
        _check(architecture)
        super().__init__(
            scale_factor=scale_factor,
            in_channels=img_channels,
            out_channels=architecture["out_channels"],
            receptive_radius=num_convolutions + 2,  # one pixel for each convolution
            architecture=architecture,
        )
        inputs = [img_channels] + [num_features] * num_convolutions
        self.body = nn.Sequential()
        for channels in inputs:
            self.body.append(nn.Conv2d(channels, num_features, kernel_size=3, padding=1))
            self.body.append(_activation(activation, num_features))
        outputs = self.out_channels * scale_factor**2
        self.body.append(nn.Conv2d(num_features, outputs, kernel_size=3, padding=1))
        self._initialise(SLOPES[activation])

    @torch.no_grad()
    def _initialise(self, slope: float) -> None:
        """Draw weights that keep the variance from layer to layer (He et al., arXiv:1502.01852).

        PyTorch's own lose more than half of the signal in each: hardly anything arrives at the last
        one, and at a rate of 1e-3 only its bias was learned.
        """
        for _, convolution in convolutions_to_fill(self.body):
            share = INITIAL_RESIDUAL if convolution is self.body[-1] else 1
            nn.init.kaiming_normal_(convolution.weight, a=slope).mul_(share)
            if convolution.bias is not None:
                nn.init.zeros_(convolution.bias)

    def forward(self, image: Tensor) -> Tensor:
        """`(N, C, H, W)` in [0, 1] to `(N, C, scale·H, scale·W)`, not clamped."""
        enlarged = F.interpolate(image, scale_factor=self.scale_factor, mode="nearest")
        return enlarged + F.pixel_shuffle(self.body(image), self.scale_factor)


def _activation(name: str, features: int) -> nn.Module:
    match name:
        case "relu":
            return nn.ReLU()
        case "leakyrelu":
            return nn.LeakyReLU(SLOPES[name])
        case _:
            return nn.PReLU(features, init=SLOPES[name])


def recognise(tensors: Mapping[str, Tensor], known: Mapping[str, Any]) -> Recognised | None:
    """An SRVGGNetCompact; see `generator.Recogniser`.

    Activations other than PReLU have no weights, so that their kind must be known.
    """
    if 2 * sum(NAMES.match(name) is not None for name in tensors) <= len(tensors):
        return None
    # Convolutions have even numbers, and PReLUs the odd ones between them.
    last = max((i for i in range(len(tensors) + 2) if f"body.{i}.weight" in tensors), default=0)
    last += last % 2
    features, img_channels = conv_channels(tensors, "body.0")
    outputs, _ = conv_channels(tensors, f"body.{last}")
    # The enlarged input is added, so that the channels differ only where one is added to several.
    colours = img_channels == 1 and math.isqrt(outputs) ** 2 != outputs
    out_channels = 3 if colours else img_channels
    activation = "prelu"
    if not any(f"body.{i}.weight" in tensors for i in range(1, last, 2)):
        activation = known.get("activation", "")
        if activation not in ("relu", "leakyrelu"):
            raise ModelError(
                "this SRVGGNetCompact has an activation without weights, and the file does not say "
                "which: give --activation relu or --activation leakyrelu, as it was trained, to "
                "sr_export or to `sr_train convert`, which records it (activation= in Python)"
            )
    architecture: Architecture = {
        "scale_factor": shuffle_scale(out_channels, outputs),
        "img_channels": img_channels,
        "num_features": features,
        "num_convolutions": last // 2 - 1,
        "activation": activation,
        "out_channels": out_channels,
    }
    return Recognised(architecture, tensors)


def _check(options: Architecture) -> None:
    check_sizes(options, "num_features")
    inputs, outputs = options["img_channels"], options["out_channels"]
    if outputs not in ((1, 3) if inputs == 1 else (inputs,)):
        raise ArgumentError(
            f"out_channels is {outputs}: it must be {inputs}, as img_channels, since the enlarged "
            "input is added (or 3 for 1)"
        )
    if options["activation"] not in tuple(SLOPES):  # a list, which is no key, is refused too
        raise ArgumentError(
            f"activation is {options['activation']!r}: it must be one of {', '.join(SLOPES)}"
        )
    if options["num_convolutions"] < 0:
        raise ArgumentError(
            f"num_convolutions is {options['num_convolutions']}: it must be at least 0"
        )
