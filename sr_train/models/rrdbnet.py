"""The generator of ESRGAN: residual-in-residual dense blocks at low resolution, then upsampling."""

import math
from collections import OrderedDict
from typing import ClassVar, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_runtime.errors import ArgumentError
from sr_train.models.generator import (
    IMAGE_CHANNELS,
    Architecture,
    Generator,
    convolutions_to_fill,
)
from sr_train.network_facts import SCALES

__all__ = ["RRDBNet"]

SLOPE = 0.2

# ESRGAN, section 3.1: residuals without batch normalisation train more easily when their initial
# weights are smaller than He et al.'s. The layers around them keep their usual weights: with small
# ones almost nothing passed, and a thousand steps of training made next to no progress.
INITIAL_RESIDUALS = 0.1


class RRDBNet(Generator):
    """RRDBNet of Wang et al., "ESRGAN: Enhanced Super-Resolution GANs", 2018 (arXiv:1809.00219).

    Its state dict has BasicSR's key names. `unshuffle` folds squares of that side into channels
    first, so that the blocks run at 1/unshuffle of the input's resolution (2 and 4 in Real-ESRGAN's
    ×2 and ×1 networks). `out_channels` is `img_channels` where None. `plus` adds the shortcuts of
    ESRGAN+ (Rakotonirina and Rasoanaivo, 2020, arXiv:2001.08073) to the dense blocks, without the
    noise that nESRGAN+ adds in training.

    Raises ArgumentError for an option outside its range.
    """

    arch: ClassVar[str] = "RRDBNet"
    repeated = "body"

    def __init__(
        self,
        *,
        scale_factor: int = 4,
        img_channels: int = 3,
        rrdb_channels: int = 64,
        growth_channels: int = 32,
        num_basic_blocks: int = 16,
        num_dense_blocks: int = 3,
        num_residual_blocks: int = 5,
        residual_scaling: float = 0.2,
        use_subpixel_conv: bool = False,
        unshuffle: int = 1,
        out_channels: int | None = None,
        plus: bool = False,
    ) -> None:
        architecture: Architecture = {
            "scale_factor": scale_factor,
            "img_channels": img_channels,
            "rrdb_channels": rrdb_channels,
            "growth_channels": growth_channels,
            "num_basic_blocks": num_basic_blocks,
            "num_dense_blocks": num_dense_blocks,
            "num_residual_blocks": num_residual_blocks,
            "residual_scaling": residual_scaling,
            "use_subpixel_conv": use_subpixel_conv,
            "unshuffle": unshuffle,
            "out_channels": img_channels if out_channels is None else out_channels,
            "plus": plus,
        }
        _check(architecture)
        stages = _stages(scale_factor * unshuffle)
        depth = num_basic_blocks * num_dense_blocks * num_residual_blocks
        super().__init__(
            scale_factor=scale_factor,
            in_channels=img_channels,
            out_channels=architecture["out_channels"],
            multiple_of=unshuffle,
            receptive_radius=unshuffle * _trunk_radius(stages, depth, use_subpixel_conv),
            architecture=architecture,
        )
        self.use_subpixel_conv = use_subpixel_conv
        self.stages = stages

        width = rrdb_channels
        self.conv_first = _conv3x3(img_channels * unshuffle**2, width)
        sizes = width, growth_channels, num_dense_blocks, num_residual_blocks
        self.body = nn.Sequential(
            *(RRDB(*sizes, residual_scaling, plus) for _ in range(num_basic_blocks))
        )
        self.conv_body = _conv3x3(width, width)
        for k, factor in enumerate(self.stages, start=1):
            outputs = width * factor**2 if use_subpixel_conv else width
            self.add_module(f"conv_up{k}", _conv3x3(width, outputs))
        self.conv_hr = _conv3x3(width, width)
        self.conv_last = _conv3x3(width, self.out_channels)
        self._initialise()

    @torch.no_grad()
    def _initialise(self) -> None:
        for _, convolution in convolutions_to_fill(self.body):
            nn.init.kaiming_normal_(convolution.weight).mul_(INITIAL_RESIDUALS)
            if convolution.bias is not None:
                nn.init.zeros_(convolution.bias)

    def forward(self, image: Tensor) -> Tensor:
        """`(N, C, H, W)` in [0, 1] to `(N, C, scale·H, scale·W)`, not clamped.

        H and W must be multiples of `multiple_of`.
        """
        if self.multiple_of > 1:
            image = F.pixel_unshuffle(image, self.multiple_of)
        shallow = self.conv_first(image)
        features = shallow + self.conv_body(self.body(shallow))
        for k, factor in enumerate(self.stages, start=1):
            features = self._upsampled(features, getattr(self, f"conv_up{k}"), factor)
        output: Tensor = self.conv_last(_activation(self.conv_hr(features)))
        return output

    def folded(self) -> Self:
        """Without the scaling of the dense blocks' residuals, which becomes part of the weights.

        The scaling around three dense blocks remains: it applies to their input too, so no
        convolution can take it over.
        """
        generator = super().folded()
        for module in generator.modules():
            if isinstance(module, DenseBlock):
                module.fold_scaling()
        return generator

    def _upsampled(self, features: Tensor, conv: nn.Module, factor: int) -> Tensor:
        if self.use_subpixel_conv:
            return _activation(F.pixel_shuffle(conv(features), factor))
        return _activation(conv(F.interpolate(features, scale_factor=factor, mode="nearest")))


class RRDB(nn.Sequential):
    """x + β·D(…D(x)): dense blocks in sequence, with a scaled residual around them all."""

    def __init__(
        self,
        width: int,
        growth: int,
        dense_blocks: int,
        convolutions: int,
        residual_scaling: float,
        plus: bool,
    ) -> None:
        super().__init__(
            OrderedDict(
                (f"rdb{j}", DenseBlock(width, growth, convolutions, residual_scaling, plus))
                for j in range(1, dense_blocks + 1)
            )
        )
        self.residual_scaling = residual_scaling

    def forward(self, x: Tensor) -> Tensor:
        residual = x
        for dense_block in self:
            residual = dense_block(residual)
        return x + self.residual_scaling * residual


class DenseBlock(nn.Module):
    """x + β·F(x), where every convolution of F sees x and the outputs of all before it.

    ESRGAN+ adds to the output of every second convolution that of the second one before it, and x
    through a 1×1 convolution to the first of them.
    """

    def __init__(
        self, width: int, growth: int, convolutions: int, residual_scaling: float, plus: bool
    ) -> None:
        super().__init__()
        self.residual_scaling = residual_scaling
        self.convolutions = convolutions
        for k in range(1, convolutions + 1):
            outputs = growth if k < convolutions else width
            self.add_module(f"conv{k}", _conv3x3(width + (k - 1) * growth, outputs))
        self.conv1x1 = nn.Conv2d(width, growth, kernel_size=1, bias=False) if plus else None

    def forward(self, x: Tensor) -> Tensor:
        features = x
        shortcut = None if self.conv1x1 is None else self.conv1x1(x)
        for k in range(1, self.convolutions):
            grown = _activation(self._conv(k)(features))
            if shortcut is not None and k % 2 == 0:
                grown = shortcut = grown + shortcut
            features = torch.cat((features, grown), dim=1)
        residual: Tensor = self._conv(self.convolutions)(features)
        return x + self.residual_scaling * residual

    @torch.no_grad()
    def fold_scaling(self) -> None:
        """Multiply the last convolution by β, instead of multiplying its output."""
        for parameter in self._conv(self.convolutions).parameters():
            parameter.mul_(self.residual_scaling)
        self.residual_scaling = 1.0

    def _conv(self, k: int) -> nn.Conv2d:
        return cast(nn.Conv2d, getattr(self, f"conv{k}"))


def _conv3x3(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)


def _activation(features: Tensor) -> Tensor:
    # In place saves the memory of every activation, but makes export take twice as long.
    return F.leaky_relu(features, SLOPE, inplace=not torch.compiler.is_exporting())


def _stages(magnification: int) -> tuple[int, ...]:
    """Factors of the upsampling stages: one ×3, or as many ×2 as needed."""
    return (3,) if magnification == 3 else (2,) * (magnification.bit_length() - 1)


def _trunk_radius(stages: tuple[int, ...], depth: int, subpixel: bool) -> int:
    """The exact receptive radius in pixels of the trunk, each of them a square of the unshuffle.

    Only whole squares matter: pixels of one square share all their context, so tiles, whose
    origins are multiples of the square's side, need no more.
    """
    # Start at the last output pixel above pixel 0 of the trunk and follow how far it sees on that
    # side, back to the trunk. The other side mirrors it.
    sees = math.prod(stages) - 1
    sees += 2  # conv_last, conv_hr
    for factor in reversed(stages):
        sees = sees // factor + 1 if subpixel else (sees + 1) // factor
    return sees + 1 + depth + 1  # conv_body, the dense blocks, conv_first


def _check(options: Architecture) -> None:
    choices = {"scale_factor": SCALES, "unshuffle": (1, 2, 4)}
    choices |= {"img_channels": IMAGE_CHANNELS, "out_channels": IMAGE_CHANNELS}
    for name, allowed in choices.items():
        if options[name] not in allowed:
            raise ArgumentError(f"{name} is {options[name]}: it must be one of {allowed}")
    if options["scale_factor"] == 3 and options["unshuffle"] != 1:
        raise ArgumentError(f"scale_factor 3 takes unshuffle 1, not {options['unshuffle']}")
    counts = ["rrdb_channels", "growth_channels"]
    counts += ["num_basic_blocks", "num_dense_blocks", "num_residual_blocks"]
    for name in counts:
        if options[name] < 1:
            raise ArgumentError(f"{name} is {options[name]}: it must be at least 1")
    if options["plus"] and options["num_residual_blocks"] < 3:
        raise ArgumentError(
            f"num_residual_blocks is {options['num_residual_blocks']}: ESRGAN+ needs at least 3"
        )
    if not 0 < options["residual_scaling"] <= 1:
        raise ArgumentError(
            f"residual_scaling is {options['residual_scaling']}: it must be above 0 and at most 1"
        )
