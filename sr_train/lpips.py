"""LPIPS: how different two images look to people, as a network's features tell."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_runtime.errors import ArgumentError
from sr_train.config.schema import Validation
from sr_train.inference import tensor_from_image
from sr_train.models.features import FeatureNetwork, build_features
from sr_train.pretrained import load_tensors, read_weights, weights_file

__all__ = ["LPIPS", "load_lpips"]

LAYERS = {
    "relu1": 64,
    "fire3": 128,
    "fire5": 256,
    "fire6": 384,
    "fire7": 384,
    "fire8": 512,
    "fire9": 512,
}
"""The layers of SqueezeNet that LPIPS v0.1 compares, and their channels."""

EPSILON = 1e-10


class LPIPS(nn.Module):
    """Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018.

    arXiv:1801.03924, equation 1. Features are divided by their norm over the channels. Their
    squared differences are weighted by a head, averaged over positions and summed over layers.
    There is a head `(1, C, 1, 1)` for each layer that `features` returns.
    """

    def __init__(self, features: FeatureNetwork, heads: Sequence[Tensor]) -> None:
        super().__init__()
        self.features = features
        self.heads = nn.ParameterList(heads).requires_grad_(False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """The distance `(N,)` in fp32 between `(N, 3 or 1, H, W)` in [0, 1]; 0 for equal images.

        Raises ArgumentError for images that are too small for `features`.
        """
        with torch.autocast(a.device.type, enabled=False):
            return self._between(self.features(a.float()), self.features(b.float()))

    @torch.inference_mode()
    def of_images(self, a: NDArray[Any], b: NDArray[Any]) -> float:
        """The distance between two images (H, W, C), uint8 or uint16."""
        return float(self(self._tensor(a), self._tensor(b)))

    def remembering(self) -> Callable[[NDArray[Any], NDArray[Any]], float]:
        """`of_images` that keeps the features of `b`, for several results beside one original."""
        last: NDArray[Any] | None = None
        of_last: dict[str, Tensor] = {}

        @torch.inference_mode()
        def distance(a: NDArray[Any], b: NDArray[Any]) -> float:
            nonlocal last, of_last
            if last is None or not np.array_equal(last, b):
                of_last = self.features(self._tensor(b))
                last = b.copy()
            return float(self._between(self.features(self._tensor(a)), of_last))

        return distance

    def _between(self, of_a: Mapping[str, Tensor], of_b: Mapping[str, Tensor]) -> Tensor:
        distances = [
            (head * (_unit(of_a[layer]) - _unit(of_b[layer])).square()).sum(1).mean((1, 2))
            for head, layer in zip(self.heads, of_a, strict=True)
        ]
        return torch.stack(distances).sum(0)

    def _tensor(self, image: NDArray[Any]) -> Tensor:
        (height, width), least = image.shape[:2], self.features.least_size
        if min(height, width) < least:
            raise ArgumentError(
                f"without its border it has {height}×{width} pixels, and a learned distance takes "
                f"{least}×{least} or more: leave it out, or add --no-lpips and --judge none"
            )
        return tensor_from_image(image, self.heads[0].device)


def _unit(features: Tensor) -> Tensor:
    # Unlike a square root, vector_norm has a finite gradient where all channels are zero.
    norm: Tensor = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    return features / (norm + EPSILON)


def load_lpips(validation: Validation, root: Path) -> LPIPS:
    """LPIPS v0.1 on SqueezeNet with its published weights, frozen, on the CPU.

    Raises ModelError for a file with other weights, and as `weights_file`.
    """
    network = weights_file("squeezenet1_1", given=validation.squeezenet_weights, root=root)
    linear = weights_file("lpips_squeeze", given=validation.lpips_weights, root=root)
    features = build_features("squeezenet1_1", LAYERS)
    load_tensors(features, network)
    shapes = {
        f"lin{k}.model.1.weight": (1, channels, 1, 1) for k, channels in enumerate(LAYERS.values())
    }
    heads = list(read_weights(linear, shapes).values())
    return LPIPS(features, heads).eval()
