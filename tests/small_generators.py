"""Small networks of every architecture, for the tests that every architecture must pass."""

from typing import Any

import torch

from sr_train.models.generator import Generator
from sr_train.models.registry import ARCHITECTURES, build_generator

# Sizes that names and shapes record, so that a .pth can hold the networks too. The first network of
# each architecture takes RGB and enlarges four times.
SMALL: dict[str, list[dict[str, Any]]] = {
    "RRDBNet": [
        {"rrdb_channels": 4, "growth_channels": 2, "num_basic_blocks": 1},
        {
            "scale_factor": 2,
            "img_channels": 1,
            "rrdb_channels": 6,
            "growth_channels": 3,
            "num_basic_blocks": 2,
            "num_dense_blocks": 2,
            "num_residual_blocks": 4,
            "use_subpixel_conv": True,
            "unshuffle": 2,
        },
        {"rrdb_channels": 4, "growth_channels": 2, "num_basic_blocks": 2, "plus": True},
    ],
    "SRVGGNetCompact": [
        {"num_features": 4, "num_convolutions": 1},
        {"scale_factor": 2, "img_channels": 1, "num_features": 4, "num_convolutions": 3},
    ],
    "SPAN": [
        {"num_features": 4},
        {"scale_factor": 2, "img_channels": 1, "num_features": 3, "norm": False},
    ],
    "RealPLKSR": [
        {"num_features": 8, "num_blocks": 1, "kernel_size": 5},
        {
            "scale_factor": 2,
            "img_channels": 1,
            "num_features": 4,
            "num_blocks": 2,
            "kernel_size": 3,
            "partial_channels": 2,
            "attention": False,
        },
        {"num_features": 8, "num_blocks": 1, "kernel_size": 5, "layer_norm": False},
    ],
}


def small_generators() -> list[Generator]:
    """New networks in evaluation mode, with weights that all reach the output."""
    torch.manual_seed(0)
    networks = []
    for arch in ARCHITECTURES:
        if not SMALL.get(arch):
            raise LookupError(f"{arch} has no small networks: add their sizes to {__file__}")
        networks += [build_generator(arch, sizes).eval() for sizes in SMALL[arch]]
    for network in networks:
        for parameter in network.parameters():
            fan_in = parameter[0].numel()
            torch.nn.init.normal_(parameter, std=0.5 * fan_in**-0.5)
    return networks


def generator_id(network: Generator) -> str:
    """The test's name for a network."""
    return f"{network.arch}-{'-'.join(map(str, network.architecture.values()))}"
