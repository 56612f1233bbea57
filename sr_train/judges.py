"""The judges of `evaluate`: distances by networks that took no part in training.

The package's own models were trained with SqueezeNet's features, which LPIPS measures too.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Literal

import torch

from sr_runtime.errors import BackendError, DataError, require_extra
from sr_train.checksum import file_sha256
from sr_train.lpips import LPIPS
from sr_train.models.features import build_features, shift_tolerant_vgg16
from sr_train.pretrained import found_weights, load_tensors, weights_file
from sr_train.tensor_file import read_tensor_file

__all__ = ["Judge", "load_judges"]

Judge = Literal["auto", "none", "st_lpips", "vgg19"]

ST_LPIPS_SHA256 = "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250"

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
            return {"st_lpips": load_st_lpips()}
        case "vgg19":
            return {"vgg19": load_vgg19(root)}
    judges = {}
    with suppress(BackendError):  # its package is optional
        judges["st_lpips"] = load_st_lpips()
    if found_weights("vgg19", root / "weights"):
        judges["vgg19"] = load_vgg19(root)
    return judges


def load_st_lpips() -> LPIPS:
    """ST-LPIPS on VGG-16: Ghildyal and Liu, "Shift-tolerant Perceptual Similarity Metric", 2022.

    arXiv:2207.13686. Its authors trained the whole network on the judgements of people, and its
    weights are in their package.
    """
    with require_extra("judge"):
        folder = Path(str(files("stlpips_pytorch")))
    file = folder / "weights" / "vST0.0" / "vgg_shift_tolerant.pth"
    if file_sha256(file) != ST_LPIPS_SHA256:
        raise DataError(
            "the file is not that of stlpips-pytorch 0.0.2: run `pip install --force-reinstall "
            "stlpips-pytorch==0.0.2`",
            path=file,
        )
    tensors, _ = read_tensor_file(file)
    features = shift_tolerant_vgg16()
    # The package has a module for each block: "net.slice2.6.weight" is "6.weight" here.
    renamed = {re.sub(r"net\.slice\d\.", "", name): tensor for name, tensor in tensors.items()}
    features.load_state_dict({name: renamed[name] for name in features.state_dict()})
    heads = [tensors[f"lin{k}.model.1.weight"].clone() for k in range(len(features.tapped))]
    return LPIPS(features, heads).eval()


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
