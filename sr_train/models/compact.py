"""SRVGGNetCompact, Real-ESRGAN's small generator: plain convolutions and one pixel-shuffle."""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from sr_runtime.errors import ArgumentError

__all__ = ["SRVGGNetCompact"]


class SRVGGNetCompact(nn.Module):
    """The network of realesr-animevideov3 and realesr-general-x4v3, with BasicSR's key names.

    Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data",
    2021 (arXiv:2107.10833). Every convolution runs at low resolution and learns what to add to the
    nearest-neighbour enlargement.

    `num_convolutions` counts those between the first and the last, as BasicSR's `num_conv` does.
    Raises ArgumentError for an option outside its range.
    """

    arch: ClassVar[str] = "SRVGGNetCompact"
    multiple_of: ClassVar[int] = 1

    def __init__(
        self,
        *,
        scale_factor: int = 4,
        img_channels: int = 3,
        num_features: int = 64,
        num_convolutions: int = 16,
    ) -> None:
        super().__init__()
        self.architecture: dict[str, int | float | bool] = {
            "scale_factor": scale_factor,
            "img_channels": img_channels,
            "num_features": num_features,
            "num_convolutions": num_convolutions,
        }
        _check(self.architecture)
        self.scale_factor = scale_factor
        self.img_channels = img_channels
        inputs = [img_channels] + [num_features] * num_convolutions
        self.body = nn.Sequential()
        for channels in inputs:
            self.body.append(nn.Conv2d(channels, num_features, kernel_size=3, padding=1))
            self.body.append(nn.PReLU(num_features))
        outputs = img_channels * scale_factor**2
        self.body.append(nn.Conv2d(num_features, outputs, kernel_size=3, padding=1))
        self.receptive_radius = num_convolutions + 2
        """LR pixels beyond which the input cannot change an output pixel: one a convolution."""

    def forward(self, image: Tensor) -> Tensor:
        """`(N, C, H, W)` in [0, 1] to `(N, C, scale·H, scale·W)`, not clamped."""
        enlarged = F.interpolate(image, scale_factor=self.scale_factor, mode="nearest")
        return enlarged + F.pixel_shuffle(self.body(image), self.scale_factor)


def _check(options: dict[str, int | float | bool]) -> None:
    if options["img_channels"] not in (1, 3):
        raise ArgumentError(f"img_channels is {options['img_channels']}: it must be 1 or 3")
    least = {"scale_factor": 1, "num_features": 1, "num_convolutions": 0}
    for name, limit in least.items():
        if options[name] < limit:
            raise ArgumentError(f"{name} is {options[name]}: it must be at least {limit}")
