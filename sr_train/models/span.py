"""SPAN: six blocks whose attention has no parameters, and one pixel-shuffle."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_runtime.errors import ArgumentError
from sr_train.models.generator import (
    Architecture,
    Generator,
    Recognised,
    check_sizes,
    conv_channels,
    shuffle_scale,
)

__all__ = ["NAMES", "SPAN", "recognise"]

NAMES = re.compile(r"block_\d\.c[123]_r\.(?:sk|conv)\.")

BLOCKS = 6
GAIN = 2  # how many times more channels lie between the factors of a convolution

# The authors' code gives the network 255·(image − mean), with the mean of DIV2K.
MEAN = (0.4488, 0.4371, 0.4040)
RANGE = 255

# The folded convolution in published files; it follows from the factors beside it.
FOLDED = ".eval_conv."


class SPAN(Generator):
    """Wan et al., "Swift Parameter-free Attention Network for Efficient Super-Resolution", 2023
    (arXiv:2311.12770), with the authors' key names.

    `norm` subtracts the mean colour and multiplies by 255, as the authors do; where None, only
    for RGB. neosr trains without it, and marks such files by a tensor `no_norm`. A file cannot say
    that its mean or range is another.

    Raises ArgumentError for an option outside its range, and for `norm` where images are not RGB.
    """

    arch: ClassVar[str] = "SPAN"

    def __init__(
        self,
        *,
        scale_factor: int = 4,
        img_channels: int = 3,
        num_features: int = 48,
        norm: bool | None = None,
    ) -> None:
        architecture: Architecture = {
            "scale_factor": scale_factor,
            "img_channels": img_channels,
            "num_features": num_features,
            "norm": img_channels == len(MEAN) if norm is None else norm,
        }
        check_sizes(architecture, "num_features")
        if norm and img_channels != len(MEAN):
            raise ArgumentError(
                f"norm is true and img_channels is {img_channels}: the mean colour is known "
                "only for RGB: take 3 channels, or norm false"
            )
        super().__init__(
            scale_factor=scale_factor,
            in_channels=img_channels,
            out_channels=img_channels,
            receptive_radius=3 * BLOCKS + 3,  # one pixel for each 3×3 convolution
            architecture=architecture,
        )
        self.norm = architecture["norm"]
        if not self.norm:
            self.register_buffer("no_norm", torch.zeros(1))
        width = num_features
        self.conv_1 = Conv3XC(img_channels, width)
        for k in range(1, BLOCKS + 1):
            self.add_module(f"block_{k}", SPAB(width))
        self.conv_2 = Conv3XC(width, width)
        self.conv_cat = nn.Conv2d(4 * width, width, kernel_size=1)
        last = nn.Conv2d(width, img_channels * scale_factor**2, kernel_size=3, padding=1)
        self.upsampler = nn.Sequential(last, nn.PixelShuffle(scale_factor))
        if self.norm:  # the first results lie in [0, 1], and not in the range of the input
            last.weight.data.div_(RANGE)

    def forward(self, image: Tensor) -> Tensor:
        """`(N, C, H, W)` in [0, 1] to `(N, C, scale·H, scale·W)`, not clamped."""
        if self.norm:
            image = RANGE * (image - image.new_tensor(MEAN).view(1, -1, 1, 1))
        shallow = self.conv_1(image)
        first = features = self._block(1)(shallow)
        for k in range(2, BLOCKS):
            features = self._block(k)(features)
        last = self._block(BLOCKS)
        early = last.early(features)
        features = self.conv_2(last.attended(features, early))
        joined = torch.cat((shallow, features, first, early), dim=1)
        output: Tensor = self.upsampler(self.conv_cat(joined))
        return output

    def folded(self) -> Self:
        """With one 3×3 convolution in the place of the factors of each."""
        generator = super().folded()
        for parent in list(generator.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, Conv3XC):
                    setattr(parent, name, child.folded())
        return generator

    def stored(self) -> dict[str, Tensor]:
        """With the folded convolutions, which other programs read too."""
        state = super().stored()
        for name, module in self.named_modules():
            if isinstance(module, Conv3XC):
                folded = module.folded().state_dict()
                state |= {f"{name}{FOLDED}{kind}": tensor for kind, tensor in folded.items()}
        return state

    def _block(self, k: int) -> "SPAB":
        return cast(SPAB, getattr(self, f"block_{k}"))


class SPAB(nn.Module):
    """(x + H(x)) ⊙ σ(H(x)), with σ(h) = sigmoid(h) − ½: three convolutions give their own weights.

    The inner activations are SiLU.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c1_r = Conv3XC(width, width)
        self.c2_r = Conv3XC(width, width)
        self.c3_r = Conv3XC(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.attended(x, self.early(x))

    def early(self, x: Tensor) -> Tensor:
        """The first activation: that of the last block is joined to the network's result too."""
        return F.silu(self.c1_r(x))

    def attended(self, x: Tensor, early: Tensor) -> Tensor:
        """The output of the block, given its first activation."""
        features: Tensor = self.c3_r(F.silu(self.c2_r(early)))
        return (x + features) * (features.sigmoid() - 0.5)


class Conv3XC(nn.Module):
    """A 3×3 convolution that is trained as a product of three, 1×1, 3×3 and 1×1, plus a 1×1.

    The authors run all four over the image while they train. Nothing but sums lies between them, so
    multiplying the weights first gives the same output and the same gradients, for a fourth of the
    work and without their intermediate images.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.sk = nn.Conv2d(inputs, outputs, kernel_size=1)
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, GAIN * inputs, kernel_size=1),
            nn.Conv2d(GAIN * inputs, GAIN * outputs, kernel_size=3),
            nn.Conv2d(GAIN * outputs, outputs, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self._product()
        return F.conv2d(x, weight, bias, padding=1)

    @torch.no_grad()
    def folded(self) -> nn.Conv2d:
        """The convolution alone."""
        weight, bias = self._product()
        outputs, inputs = weight.shape[:2]
        # Initial weights would come from the random generator, which a run saves and restores.
        folded: nn.Conv2d = nn.utils.skip_init(nn.Conv2d, inputs, outputs, 3, padding=1)
        folded.load_state_dict({"weight": weight, "bias": bias}, assign=True)
        return folded

    def _product(self) -> tuple[Tensor, Tensor]:
        """Weight and bias. Autocast leaves float64 alone, which costs little beside an image; in
        files the bytes then hardly depend on how a machine adds."""
        (w1, b1), (w2, b2), (w3, b3), (skip, b4) = (
            (layer.weight.double(), layer.bias.double()) for layer in (*self.conv, self.sk)
        )
        w1, w3 = w1[:, :, 0, 0], w3[:, :, 0, 0]
        weight = torch.einsum("om,mnhw,ni->oihw", w3, w2, w1) + F.pad(skip, (1, 1, 1, 1))
        # The image is padded before the first factor, so its bias reaches every pixel.
        bias = w3 @ (w2.sum((2, 3)) @ b1 + b2) + b3 + b4
        dtype = self.sk.weight.dtype
        return weight.to(dtype), bias.to(dtype)


def recognise(tensors: Mapping[str, Tensor], known: Mapping[str, Any]) -> Recognised | None:
    """A SPAN; see `generator.Recogniser`. Its folded convolutions are left out."""
    if not any(NAMES.match(name) for name in tensors):
        return None
    outputs, inputs = conv_channels(tensors, "conv_1.conv.1")  # of the factor in the middle
    img_channels = inputs // GAIN or 1
    shuffled, _ = conv_channels(tensors, "upsampler.0")
    architecture: Architecture = {
        "scale_factor": shuffle_scale(img_channels, shuffled),
        "img_channels": img_channels,
        "num_features": outputs // GAIN,
        "norm": "no_norm" not in tensors,
    }
    state = {name: value for name, value in tensors.items() if FOLDED not in name}
    return Recognised(architecture, state)
