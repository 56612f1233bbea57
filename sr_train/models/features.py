"""Networks trained to classify ImageNet, up to the layers whose features are compared.

Their state dicts have the key names of torchvision's `features`: "0.weight", "3.squeeze.weight", …
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_runtime.errors import ArgumentError
from sr_train.network_facts import VGG_BLOCKS

__all__ = ["FeatureNetwork", "build_features"]

# Mean and deviation of ImageNet's R, G and B in [0, 1], with which torchvision's networks trained.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

VGG_WIDTHS = (64, 128, 256, 512, 512)


class FeatureNetwork(nn.Sequential):
    """A frozen network that returns the outputs of some of its layers.

    `tapped` gives the names of these layers by their index. Images must have at least `least_size`
    pixels in height and width. `normalize_input` normalises them by ImageNet's statistics first.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        layers: Iterable[nn.Module],
        tapped: Mapping[int, str],
        *,
        least_size: int,
        normalize_input: bool,
    ) -> None:
        super().__init__(*layers)
        self.tapped = tapped
        self.least_size = least_size
        self.normalize_input = normalize_input
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        """`(N, 3 or 1, H, W)` in [0, 1] to `(N, C, H', W')` of each tapped layer, by name.

        A gray image counts as R = G = B. Raises ArgumentError for one that is too small.
        """
        if min(image.shape[2:]) < self.least_size:
            raise ArgumentError(
                f"an image of {image.shape[2]}×{image.shape[3]} pixels is too small for "
                f"{self.tapped[len(self) - 1]}: take {self.least_size}×{self.least_size} or more, "
                "or a layer less deep"
            )
        x = image.expand(-1, 3, -1, -1)
        if self.normalize_input:
            x = (x - self.mean) / self.std
        features = {}
        for index, layer in enumerate(self):
            x = layer(x)
            if index in self.tapped:
                features[self.tapped[index]] = x
        return features


def build_features(
    vgg_type: str, layers: Iterable[str], *, normalize_input: bool = True
) -> FeatureNetwork:
    """The network up to the deepest of `layers`, with fresh weights.

    Layers of VGG are `conv{block}_{k}`, before activation. Layers of SqueezeNet are `relu1`, and
    `fire2` to `fire9` as in its paper, after activation. Those of ST-LPIPS's VGG-16 are
    `relu{block}`, the last activation of each block. Raises ArgumentError for another network or
    layer.
    """
    if vgg_type in VGG_BLOCKS:
        modules, names = _vgg(VGG_BLOCKS[vgg_type])
    elif vgg_type == "squeezenet1_1":
        modules, names = _squeezenet()
    elif vgg_type == "vgg16_st_lpips":
        modules, names = _shift_tolerant_vgg16()
    else:
        known = (*VGG_BLOCKS, "squeezenet1_1", "vgg16_st_lpips")
        raise ArgumentError(f"{vgg_type!r} is not a feature network: take one of {known}")
    layers = set(layers)
    if unknown := sorted(layers - set(names.values())):
        raise ArgumentError(
            f"{vgg_type} has no layer {unknown[0]!r}: it has {', '.join(names.values())}"
        )
    if not layers:
        raise ArgumentError(f"no layer of {vgg_type} is named: name at least one")
    tapped = {index: name for index, name in names.items() if name in layers}
    modules = modules[: max(tapped) + 1]
    pools = sum(isinstance(module, nn.MaxPool2d) for module in modules)
    # VGG's pools halve and round down. SqueezeNet's round up, after an unpadded 3×3 convolution of
    # stride 2. Those of ST-LPIPS mirror two pixels at the border, and so need three.
    least = {"squeezenet1_1": 2 * 2**pools + 1, "vgg16_st_lpips": 2**pools + 2 if pools else 1}
    return FeatureNetwork(
        modules, tapped, least_size=least.get(vgg_type, 2**pools), normalize_input=normalize_input
    )


def _vgg(blocks: Iterable[int]) -> tuple[list[nn.Module], dict[int, str]]:
    """All modules of torchvision's `features`, and the names of its convolutions by index."""
    modules: list[nn.Module] = []
    names = {}
    inputs = 3
    for block, (convolutions, width) in enumerate(zip(blocks, VGG_WIDTHS, strict=True), start=1):
        for k in range(1, convolutions + 1):
            names[len(modules)] = f"conv{block}_{k}"
            # An activation in place would overwrite the features before it.
            modules += [nn.Conv2d(inputs, width, kernel_size=3, padding=1), nn.ReLU()]
            inputs = width
        modules.append(nn.MaxPool2d(2))
    return modules, names


def _shift_tolerant_vgg16() -> tuple[list[nn.Module], dict[int, str]]:
    """The same for ST-LPIPS: its pools blur before they take every second pixel.

    Ghildyal and Liu, "Shift-tolerant Perceptual Similarity Metric", 2022 (arXiv:2207.13686).
    """
    modules: list[nn.Module] = []
    names = {}
    inputs = 3
    blocks = zip(VGG_BLOCKS["vgg16"], VGG_WIDTHS, strict=True)
    for block, (convolutions, width) in enumerate(blocks, start=1):
        if block > 1:
            modules += [nn.MaxPool2d(2, stride=1), BlurPool()]
        for _ in range(convolutions):
            modules += [nn.Conv2d(inputs, width, kernel_size=3, padding=1), nn.ReLU()]
            inputs = width
        names[len(modules) - 1] = f"relu{block}"
    return modules, names


def _squeezenet() -> tuple[list[nn.Module], dict[int, str]]:
    """The same for SqueezeNet 1.1 of Iandola et al., 2016 (arXiv:1602.07360)."""
    modules = [nn.Conv2d(3, 64, kernel_size=3, stride=2), nn.ReLU(), _pool()]
    modules += [Fire(64, 16, 64), Fire(128, 16, 64), _pool()]
    modules += [Fire(128, 32, 128), Fire(256, 32, 128), _pool()]
    modules += [Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)]
    fires = [index for index, module in enumerate(modules) if isinstance(module, Fire)]
    names = {index: f"fire{number}" for number, index in enumerate(fires, start=2)}
    return modules, {1: "relu1", **names}


def _pool() -> nn.Module:
    return nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)


class Fire(nn.Module):
    """A 1×1 convolution to few channels, then a 1×1 and a 3×3 one to `expanded` channels each."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, kernel_size=1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, kernel_size=1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x).relu()
        return torch.cat((self.expand1x1(x), self.expand3x3(x)), dim=1).relu()


class BlurPool(nn.Module):
    """Every second pixel of an image that was blurred with [1 2 1] in both directions."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", line[:, None] * line, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        # As F.pad(mode="reflect") does, whose gradient is not deterministic on GPUs.
        x = torch.cat((x[..., 2:3], x[..., 1:2], x, x[..., -2:-1], x[..., -3:-2]), dim=3)
        x = torch.cat((x[:, :, 2:3], x[:, :, 1:2], x, x[:, :, -2:-1], x[:, :, -3:-2]), dim=2)
        return F.conv2d(x, self.kernel.expand(channels, 1, 3, 3), stride=2, groups=channels)
