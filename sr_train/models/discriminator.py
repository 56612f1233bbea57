"""Discriminators: SRGAN's, with one logit per image, and Real-ESRGAN's, one per pixel."""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from sr_runtime.errors import ArgumentError
from sr_train.network_facts import UNET_STRIDE

__all__ = ["UNetDiscriminator", "VGGDiscriminator"]

SLOPE = 0.2


class VGGDiscriminator(nn.Module):
    """Ledig et al., "Photo-Realistic Single Image Super-Resolution Using a GAN", 2017, figure 4.

    One 3×3 convolution for each entry of `vgg_blk_ch`, with stride 2 if the entry equals the one
    before; all but the first are batch-normalised. Then fully connected layers of `fc_features`,
    and one logit. Every activation is a leaky ReLU with slope 0.2.

    `patch_size` is the height and width of the input in pixels. Raises ArgumentError if the strides
    do not divide it.
    """

    def __init__(
        self,
        *,
        img_channels: int = 3,
        vgg_blk_ch: Sequence[int] = (64, 64, 128, 128, 256, 256, 512, 512),
        fc_features: Sequence[int] = (100,),
        patch_size: tuple[int, int],
        batch_norm: bool = True,
    ) -> None:
        super().__init__()
        if not vgg_blk_ch or min(*vgg_blk_ch, *fc_features, 1) < 1:
            raise ArgumentError(
                f"vgg_blk_ch is {list(vgg_blk_ch)} and fc_features is {list(fc_features)}: the "
                "first must not be empty, and all values must be at least 1"
            )
        steps = list(itertools.pairwise(vgg_blk_ch))
        stride = 2 ** sum(before == after for before, after in steps)
        if any(side < stride or side % stride for side in patch_size):
            raise ArgumentError(
                f"crops of {patch_size[0]}×{patch_size[1]} pixels do not fit the discriminator, "
                f"which divides their sides by {stride}: take crops of multiples of {stride}, or "
                "fewer equal neighbours in vgg_blk_ch"
            )
        self.patch_size = patch_size

        self.features = nn.Sequential(
            nn.Conv2d(img_channels, vgg_blk_ch[0], kernel_size=3, padding=1), nn.LeakyReLU(SLOPE)
        )
        for before, after in steps:
            step = 2 if before == after else 1
            # Batch normalisation would subtract a bias again.
            self.features.append(nn.Conv2d(before, after, 3, step, padding=1, bias=not batch_norm))
            if batch_norm:
                self.features.append(nn.BatchNorm2d(after))
            self.features.append(nn.LeakyReLU(SLOPE))

        *hidden, last = itertools.pairwise(
            (vgg_blk_ch[-1] * math.prod(side // stride for side in patch_size), *fc_features, 1)
        )
        self.classifier = nn.Sequential(nn.Flatten())
        for before, after in hidden:
            self.classifier.extend((nn.Linear(before, after), nn.LeakyReLU(SLOPE)))
        self.classifier.append(nn.Linear(*last))

    def forward(self, image: Tensor) -> Tensor:
        """`(N, C, *patch_size)` in [0, 1] to logits `(N, 1)`; ArgumentError for another size."""
        if image.shape[2:] != self.patch_size:
            raise ArgumentError(
                f"the discriminator was built for {self.patch_size[0]}×{self.patch_size[1]} pixels "
                f"and an image has {image.shape[2]}×{image.shape[3]}: take crops of that size, or "
                "the discriminator of type unet, which takes any"
            )
        logits: Tensor = self.classifier(self.features(image))
        return logits


class UNetDiscriminator(nn.Module):
    """Wang et al., "Real-ESRGAN", 2021 (arXiv:2107.10833), section 3.3.

    Three convolutions of stride 2 and three bilinear enlargements, with skip connections by
    addition. All but the first and the last convolution are spectrally normalised (Miyato et al.,
    2018): a forward pass in training mode takes one step of the power iteration.
    """

    def __init__(self, *, img_channels: int = 3, unet_channels: int = 64) -> None:
        super().__init__()
        width = unet_channels
        self.first = nn.Conv2d(img_channels, width, kernel_size=3, padding=1)
        self.down = nn.ModuleList(
            _normalised(width * 2**k, width * 2 ** (k + 1), kernel=4, stride=2) for k in range(3)
        )
        self.up = nn.ModuleList(
            _normalised(width * 2 ** (k + 1), width * 2**k) for k in reversed(range(3))
        )
        self.refine = nn.ModuleList(_normalised(width, width) for _ in range(2))
        self.last = nn.Conv2d(width, 1, kernel_size=3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        """`(N, C, H, W)` in [0, 1] to logits `(N, 1, H, W)`.

        Raises ArgumentError for sides that are not multiples of 8.
        """
        if any(side % UNET_STRIDE for side in image.shape[2:]):
            raise ArgumentError(
                f"the U-Net discriminator cannot take {image.shape[2]}×{image.shape[3]} pixels: "
                f"take crops of multiples of {UNET_STRIDE}"
            )
        features = F.leaky_relu(self.first(image), SLOPE)
        skips = []
        for conv in self.down:
            skips.append(features)
            features = F.leaky_relu(conv(features), SLOPE)
        for conv in self.up:
            enlarged = F.interpolate(features, scale_factor=2, mode="bilinear")
            features = F.leaky_relu(conv(enlarged), SLOPE) + skips.pop()
        for conv in self.refine:
            features = F.leaky_relu(conv(features), SLOPE)
        logits: Tensor = self.last(features)
        return logits


class _Convolution(nn.Conv2d):
    """Computes its weight in fp32; under autocast the power iteration would lose precision."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            weight = self.weight
        convolved: Tensor = self._conv_forward(x, weight, self.bias)
        return convolved


def _normalised(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Module:
    conv = _Convolution(inputs, outputs, kernel, stride, padding=1, bias=False)
    normalised: nn.Module = spectral_norm(conv)
    return normalised
