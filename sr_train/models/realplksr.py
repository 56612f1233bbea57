"""RealPLKSR: blocks with one large kernel over a part of the channels, and one pixel-shuffle."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_runtime.errors import ArgumentError, ModelError
from sr_train.models.generator import (
    Architecture,
    Generator,
    Recognised,
    check_names,
    check_sizes,
    conv_channels,
    convolutions_to_fill,
    shuffle_scale,
)

__all__ = ["NAMES", "RealPLKSR", "recognise"]

NAMES = re.compile(r"feats\.\d+\.channel_mixer\.")

GROUPS = 4  # of the group normalisation; a file does not tell
EPSILON = 1e-6  # of the layer normalisation
INITIAL_STD = 0.02


class RealPLKSR(Generator):
    """PLKSR of Lee et al., "Partial Large Kernel CNNs for Efficient Super-Resolution", 2024
    (arXiv:2404.11848), as neosr and traiNNer-redux train it, with their key names.

    It differs from the paper's network in Mish, which replaces GELU, and in a normalisation. With
    `layer_norm` every pixel is normalised over its channels, before the block: better and faster by
    the measurements of those who added it. Without it the whole image is, in groups of channels,
    so that every output depends on every input and tiles change the result.

    `partial_channels` are those that the large kernel sees, a quarter where None. `attention`
    multiplies features by their own sigmoid. DySample, another upsampler, is not supported.

    Raises ArgumentError for an option outside its range.
    """

    arch: ClassVar[str] = "RealPLKSR"

    def __init__(
        self,
        *,
        scale_factor: int = 4,
        img_channels: int = 3,
        num_features: int = 64,
        num_blocks: int = 28,
        kernel_size: int = 17,
        partial_channels: int | None = None,
        attention: bool = True,
        layer_norm: bool = True,
    ) -> None:
        architecture: Architecture = {
            "scale_factor": scale_factor,
            "img_channels": img_channels,
            "num_features": num_features,
            "num_blocks": num_blocks,
            "kernel_size": kernel_size,
            "partial_channels": num_features // 4 if partial_channels is None else partial_channels,
            "attention": attention,
            "layer_norm": layer_norm,
        }
        _check(architecture)
        # One pixel for each 3×3 convolution, of which a block has two and its attention one.
        block_radius = 2 + kernel_size // 2 + attention
        super().__init__(
            scale_factor=scale_factor,
            in_channels=img_channels,
            out_channels=img_channels,
            receptive_radius=1 + num_blocks * block_radius + 1 if layer_norm else None,
            architecture=architecture,
        )
        width, partial = num_features, architecture["partial_channels"]
        self.feats = nn.Sequential(nn.Conv2d(img_channels, width, kernel_size=3, padding=1))
        for _ in range(num_blocks):
            self.feats.append(Block(width, partial, kernel_size, attention, layer_norm))
        self.feats.append(nn.Identity())  # others have dropout here: it counts in the key names
        outputs = img_channels * scale_factor**2
        self.feats.append(nn.Conv2d(width, outputs, kernel_size=3, padding=1))
        if layer_norm:  # with groups, the exporter makes other tensors of some weights of a block
            self.repeated = "feats.1"
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        """As the authors: all but the first convolution of a mixer begin small."""
        for name, convolution in convolutions_to_fill(self.feats):
            if not name.endswith("channel_mixer.0"):
                nn.init.trunc_normal_(convolution.weight, std=INITIAL_STD)

    def forward(self, image: Tensor) -> Tensor:
        """`(N, C, H, W)` in [0, 1] to `(N, C, scale·H, scale·W)`, not clamped."""
        enlarged = F.interpolate(image, scale_factor=self.scale_factor, mode="nearest")
        return enlarged + F.pixel_shuffle(self.feats(image), self.scale_factor)

    def folded(self) -> Self:
        """With the blocks in a sequence of their own, of which export traces one."""
        generator = super().folded()
        if generator.repeated:
            first, *blocks, _, last = generator.feats
            generator.feats = nn.Sequential(first, nn.Sequential(*blocks), last)
        return generator


class Block(nn.Module):
    """x + F(x): a mixer of channels, the large kernel, attention and a 1×1 convolution."""

    def __init__(
        self, width: int, partial: int, kernel_size: int, attention: bool, layer_norm: bool
    ) -> None:
        super().__init__()
        self.layer_norm = LayerNorm(width) if layer_norm else nn.Identity()
        self.channel_mixer = nn.Sequential(
            nn.Conv2d(width, 2 * width, kernel_size=3, padding=1),
            nn.Mish(),
            nn.Conv2d(2 * width, width, kernel_size=3, padding=1),
        )
        self.lk = PartialConv(partial, kernel_size)
        self.attn = Attention(width) if attention else nn.Identity()
        self.refine = nn.Conv2d(width, width, kernel_size=1)
        self.norm = nn.Identity() if layer_norm else nn.GroupNorm(GROUPS, width)

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.lk(self.channel_mixer(self.layer_norm(x)))
        residual: Tensor = self.norm(self.refine(self.attn(mixed)))
        return x + residual


class LayerNorm(nn.LayerNorm):
    """Layer normalisation of each pixel of `(N, C, H, W)` over its channels."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class PartialConv(nn.Module):
    """A convolution of the first channels, which passes the others on."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.channels = channels
        self.conv = nn.Conv2d(channels, channels, kernel_size, padding=kernel_size // 2)

    def forward(self, x: Tensor) -> Tensor:
        first, others = x.tensor_split((self.channels,), dim=1)
        return torch.cat((self.conv(first), others), dim=1)


class Attention(nn.Module):
    """x ⊙ sigmoid(W∗x), the paper's elementwise attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.f = nn.Sequential(nn.Conv2d(width, width, kernel_size=3, padding=1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = self.f(x)
        return x * weights


def recognise(tensors: Mapping[str, Tensor], known: Mapping[str, Any]) -> Recognised | None:
    """A RealPLKSR that ends with a pixel-shuffle; see `generator.Recogniser`.

    DySample has tensors of its own, `to_img`.
    """
    names = tensors.keys()
    if not any(NAMES.match(name) for name in names):
        return None
    if any(name.startswith("to_img.") for name in names):
        return None
    # Blocks have no weight or bias right below their number, but both convolutions have.
    numbered = [i for i in range(len(tensors)) if {f"feats.{i}.weight", f"feats.{i}.bias"} & names]
    last = max(numbered, default=0)
    width, img_channels = conv_channels(tensors, "feats.0")
    outputs, _ = conv_channels(tensors, f"feats.{last}")
    partial, kernel_size = _large_kernel(tensors, "feats.1.lk.conv.weight")
    architecture: Architecture = {
        "scale_factor": shuffle_scale(img_channels, outputs),
        "img_channels": img_channels,
        "num_features": width,
        "num_blocks": last - 2,
        "kernel_size": kernel_size,
        "partial_channels": partial,
        "attention": any(name.startswith("feats.1.attn.") for name in names),
        "layer_norm": any(name.startswith("feats.1.layer_norm.") for name in names),
    }
    return Recognised(architecture, tensors)


def _large_kernel(tensors: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    check_names(tensors.keys() & {name}, {name})
    match tuple(tensors[name].shape):
        case (partial, _, kernel_size, _):
            return partial, kernel_size
        case shape:
            raise ModelError(f"{name} has the shape {shape}, and a convolution's was expected")


def _check(options: Architecture) -> None:
    check_sizes(options, "num_features", "num_blocks", "kernel_size", "partial_channels")
    width, partial = options["num_features"], options["partial_channels"]
    if partial >= width:
        raise ArgumentError(
            f"partial_channels is {partial}: it must be less than num_features, which is {width}"
        )
    if options["kernel_size"] % 2 == 0:
        raise ArgumentError(f"kernel_size is {options['kernel_size']}: it must be odd")
    if not options["layer_norm"] and width % GROUPS:
        raise ArgumentError(
            f"num_features is {width}: without layer_norm it must be a multiple of {GROUPS}"
        )
