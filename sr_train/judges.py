"""The judges of `evaluate`: distances by networks that took no part in training.

The package's own models were trained with SqueezeNet's features, which LPIPS measures too.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal

import torch

from sr_runtime.errors import BackendError
from sr_train.lpips import LPIPS
from sr_train.models.features import build_features
from sr_train.pretrained import found_weights, load_tensors, read_weights, weights_file

__all__ = ["Judge", "load_judges"]

Judge = Literal["auto", "none", "st_lpips", "vgg19"]

ST_LPIPS_LAYERS = {"relu1": 64, "relu2": 128, "relu3": 256, "relu4": 512, "relu5": 512}
"""The last layers of the blocks, and their channels."""

VGG19_LAYERS = {"conv1_2": 64, "conv2_2": 128, "conv3_4": 256, "conv4_4": 512, "conv5_4": 512}
"""The last layers before each pool and the end, and their channels."""


def load_judges(judge: Judge, root: Path) -> Mapping[str, LPIPS]:
    """The judges by their fields of `Score`; `auto` means those whose weights are at hand.

    Raises BackendError if the package of a judge that was named is not installed, DataError and
    StorageError as `weights_file`.
    """
    match judge:
        case "none":
            return {}
        case "st_lpips":
            return {"st_lpips": load_st_lpips(root)}
        case "vgg19":
            return {"vgg19": load_vgg19(root)}
    judges = {}
    with suppress(BackendError):  # its package is optional
        judges["st_lpips"] = load_st_lpips(root)
    if found_weights("vgg19", root / "weights"):
        judges["vgg19"] = load_vgg19(root)
    return judges


def load_st_lpips(root: Path) -> LPIPS:
    """ST-LPIPS on VGG-16: Ghildyal and Liu, "Shift-tolerant Perceptual Similarity Metric", 2022.

    arXiv:2207.13686. Its authors trained the whole network on the judgements of people.
    """
    file = weights_file("vgg16_st_lpips", given=None, root=root)
    features = build_features("vgg16_st_lpips", ST_LPIPS_LAYERS)
    load_tensors(features, file)
    shapes = {
        f"lin{k}.model.1.weight": (1, channels, 1, 1)
        for k, channels in enumerate(ST_LPIPS_LAYERS.values())
    }
    return LPIPS(features, list(read_weights(file, shapes).values())).eval()


def load_vgg19(root: Path) -> LPIPS:
    """The distance of VGG-19's features, with torchvision's weights.

    The mean over VGG19_LAYERS and positions of |â − b̂|², where â and b̂ are the features before
    activation, divided by their norm over the channels: LPIPS with equal weights. It is between 0
    and 4.
    """
    features = build_features("vgg19", VGG19_LAYERS)
    load_tensors(features, weights_file("vgg19", given=None, root=root))
    share = 1 / len(VGG19_LAYERS)
    heads = [torch.full((1, channels, 1, 1), share) for channels in VGG19_LAYERS.values()]
    return LPIPS(features, heads).eval()
