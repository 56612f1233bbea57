"""SRVGGNetCompact, Real-ESRGAN's small generator: plain convolutions and one pixel-shuffle."""

import math
import re
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from sr_runtime.errors import ArgumentError, ModelError
from sr_train.models.generator import Architecture, Generator, Recognised, conv_channels

__all__ = ["SRVGGNetCompact", "recognise"]

NAME = re.compile(r"body\.\d+\.(?:weight|bias)")


class SRVGGNetCompact(Generator):
    """The network of realesr-animevideov3 and realesr-general-x4v3, with BasicSR's key names.

    Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data",
    2021 (arXiv:2107.10833). Every convolution runs at low resolution and learns what to add to the
    nearest-neighbour enlargement.

    `num_convolutions` counts the convolutions between the first and the last, as `num_conv` does in
    BasicSR.
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
    ) -> None:
        architecture: Architecture = {
            "scale_factor": scale_factor,
            "img_channels": img_channels,
            "num_features": num_features,
            "num_convolutions": num_convolutions,
        }
        _check(architecture)
        super().__init__(
            scale_factor=scale_factor,
            in_channels=img_channels,
            out_channels=img_channels,
            receptive_radius=num_convolutions + 2,  # one pixel for each convolution
            architecture=architecture,
        )
        inputs = [img_channels] + [num_features] * num_convolutions
        self.body = nn.Sequential()
        for channels in inputs:
            self.body.append(nn.Conv2d(channels, num_features, kernel_size=3, padding=1))
            self.body.append(nn.PReLU(num_features))
        outputs = img_channels * scale_factor**2
        self.body.append(nn.Conv2d(num_features, outputs, kernel_size=3, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        """`(N, C, H, W)` in [0, 1] to `(N, C, scale·H, scale·W)`, not clamped."""
        enlarged = F.interpolate(image, scale_factor=self.scale_factor, mode="nearest")
        return enlarged + F.pixel_shuffle(self.body(image), self.scale_factor)


def recognise(tensors: Mapping[str, Tensor], scale: int | None) -> Recognised | None:
    """An SRVGGNetCompact, whose shapes leave nothing open; see `generator.Recogniser`."""
    if 2 * sum(NAME.fullmatch(name) is not None for name in tensors) <= len(tensors):
        return None
    last = max((i for i in range(len(tensors)) if f"body.{i}.weight" in tensors), default=0)
    last += last % 2  # convolutions have even numbers, activations odd ones
    features, img_channels = conv_channels(tensors, "body.0")
    outputs, _ = conv_channels(tensors, f"body.{last}")
    scale_factor = math.isqrt(outputs // img_channels)
    if outputs != img_channels * scale_factor**2:
        raise ModelError(
            f"the network takes {img_channels} channels and ends with {outputs}: {img_channels} "
            "times a square was expected"
        )
    architecture: Architecture = {
        "scale_factor": scale_factor,
        "img_channels": img_channels,
        "num_features": features,
        "num_convolutions": last // 2 - 1,
    }
    return Recognised(architecture, tensors)


def _check(options: Architecture) -> None:
    if options["img_channels"] not in (1, 3):
        raise ArgumentError(f"img_channels is {options['img_channels']}: it must be 1 or 3")
    least = {"scale_factor": 1, "num_features": 1, "num_convolutions": 0}
    for name, limit in least.items():
        if options[name] < limit:
            raise ArgumentError(f"{name} is {options[name]}: it must be at least {limit}")
