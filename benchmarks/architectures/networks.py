"""A small network with random weights of each super-resolution architecture of spandrel."""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from sr_train.models.spandrel_network import import_spandrel

__all__ = ["NETWORKS", "Network", "save_network"]


class Network(NamedTuple):
    """How a network of spandrel's is made."""

    architecture: str
    """The folder in `spandrel.architectures`."""
    name: str
    """The class there."""
    sizes: Mapping[str, Any]


NETWORKS: Mapping[str, Network] = {
    "ATD": Network("ATD", "ATD", {
        "upscale": 4, "embed_dim": 48, "depths": (2,), "num_heads": (4,), "window_size": 16,
        "category_size": 128, "num_tokens": 64, "reducted_dim": 8, "convffn_kernel_size": 7,
        "mlp_ratio": 1, "upsampler": "pixelshuffledirect",
    }),
    "AuraSR": Network("AuraSR", "AuraSR", {
        "dim": 16, "image_size": None, "input_image_size": None,
        "style_network": {"dim_in": 128, "dim_out": 512, "depth": 4},
        "up_dim_mults": (1, 2, 4, 8, 16), "down_dim_mults": (4, 8, 16), "channels": 3,
        "full_attn": (False, False, False, True, True), "flash_attn": True,
        "self_attn_dim_head": 64, "self_attn_heads": 8, "attn_depths": (2, 2, 2, 2, 4),
        "mid_attn_depth": 4, "num_conv_kernels": 4, "unconditional": True,
        "skip_connect_scale": 0.4,
    }),
    "CRAFT": Network("CRAFT", "CRAFT", {
        "upscale": 4, "embed_dim": 48, "depths": [1], "num_heads": [6],
    }),
    "DAT": Network("DAT", "DAT", {
        "upscale": 4, "embed_dim": 48, "depth": [3], "num_heads": [2],
        "split_size": [8, 16], "expansion_factor": 2.0, "upsampler": "pixelshuffledirect",
    }),
    "DCTLSA": Network("DCTLSA", "DCTLSA", {"upscale": 4, "nf": 20, "num_head": 5}),
    "DITN": Network("DITN", "DITN", {
        "inp_channels": 3, "dim": 24, "ITL_blocks": 2, "SAL_blocks": 2, "UFONE_blocks": 1,
        "ffn_expansion_factor": 2, "bias": False, "LayerNorm_type": "WithBias", "patch_size": 8,
        "upscale": 4,
    }),
    "DRCT": Network("DRCT", "DRCT", {
        "upscale": 4, "img_size": 64, "window_size": 16, "embed_dim": 36, "depths": (6,),
        "num_heads": (6,), "gc": 12, "upsampler": "pixelshuffle",
    }),
    "ESRGAN+": Network("ESRGAN", "ESRGAN", {"num_filters": 16, "num_blocks": 1, "plus": True}),
    "FDAT": Network("FDAT", "FDAT", {
        "embed_dim": 48, "num_groups": 1, "depth_per_group": 2, "mid_dim": 32,
        "upsampler_type": "pixelshuffledirect",
    }),
    "GRL": Network("GRL", "GRL", {
        "upscale": 4, "upsampler": "pixelshuffledirect", "embed_dim": 32, "depths": [2],
        "num_heads_window": [2], "num_heads_stripe": [2], "window_size": 32,
        "stripe_size": [64, 64], "anchor_window_down_factor": 4, "stripe_shift": True,
    }),
    "HAT": Network("HAT", "HAT", {
        "upscale": 4, "img_size": 64, "window_size": 16, "embed_dim": 24, "depths": (2,),
        "num_heads": (2,), "squeeze_factor": 4, "mlp_ratio": 2, "upsampler": "pixelshuffle",
    }),
    "IPT": Network("IPT", "IPT", {
        "patch_size": 48, "patch_dim": 3, "n_feats": 8, "num_heads": 12, "num_layers": 1,
        "scale": [4],
    }),
    "MMRealSR": Network("MMRealSR", "MMRealSR", {
        "num_in_ch": 3, "num_out_ch": 3, "scale": 4, "num_feat": 16, "num_block": 1,
        "num_grow_ch": 8, "num_degradation": 2, "num_feats": [16, 16, 16, 16],
        "num_blocks": [1, 1, 1, 1], "downscales": [2, 2, 2, 1],
    }),
    "MoESR": Network("MoESR", "MoESR", {
        "scale": 4, "dim": 16, "n_blocks": 1, "n_block": 1, "upsample_dim": 16,
    }),
    "MoSR": Network("MoSR", "MoSR", {"upscale": 4, "dim": 16, "n_block": 2, "upsampler": "ps"}),
    "MoSR, DySample": Network("MoSR", "MoSR", {
        "upscale": 4, "dim": 16, "n_block": 2, "upsampler": "dys",
    }),
    "OmniSR": Network("OmniSR", "OmniSR", {"up_scale": 4, "num_feat": 64}),
    "PLKSR": Network("PLKSR", "PLKSR", {"upscaling_factor": 4, "dim": 16, "n_blocks": 2}),
    "RealPLKSR": Network("PLKSR", "RealPLKSR", {"upscaling_factor": 4, "dim": 16, "n_blocks": 2}),
    "RealPLKSR, DySample": Network("PLKSR", "RealPLKSR", {
        "upscaling_factor": 4, "dim": 16, "n_blocks": 2, "dysample": True, "layer_norm": True,
    }),
    "RCAN": Network("RCAN", "RCAN", {
        "scale": 4, "n_resgroups": 1, "n_resblocks": 2, "n_feats": 16, "reduction": 4,
    }),
    "RGT": Network("RGT", "RGT", {
        "upscale": 4, "embed_dim": 32, "depth": [3], "num_heads": [2], "mlp_ratio": 2.0,
        "split_size": [8, 32],
    }),
    "RealCUGAN": Network("RealCUGAN", "UpCunet2x", {}),
    "SAFMN": Network("SAFMN", "SAFMN", {"upscaling_factor": 4, "dim": 16, "n_blocks": 1}),
    "SAFMNBCIE": Network("SAFMNBCIE", "SAFMNBCIE", {
        "upscaling_factor": 2, "dim": 16, "n_blocks": 1, "num_layers": 1,
    }),
    "SPAN": Network("SPAN", "SPAN", {
        "num_in_ch": 3, "num_out_ch": 3, "feature_channels": 16, "upscale": 4,
    }),
    "SeemoRe": Network("SeemoRe", "SeemoRe", {
        "scale": 4, "embedding_dim": 36, "num_experts": 3, "num_layers": 2,
    }),
    "SwiftSRGAN": Network("SwiftSRGAN", "SwiftSRGAN", {
        "upscale_factor": 4, "num_channels": 16, "num_blocks": 1,
    }),
    "Swin2SR": Network("Swin2SR", "Swin2SR", {
        "upscale": 4, "img_size": 64, "window_size": 8, "embed_dim": 24, "depths": [2],
        "num_heads": [2], "mlp_ratio": 2.0, "upsampler": "pixelshuffledirect",
    }),
    "SwinIR": Network("SwinIR", "SwinIR", {
        "upscale": 4, "img_size": 64, "window_size": 8, "embed_dim": 24, "depths": [2],
        "num_heads": [2], "mlp_ratio": 2.0, "upsampler": "pixelshuffledirect",
    }),
}  # fmt: skip


def save_network(name: str, path: Path) -> None:
    """Write the checkpoint of a row of `NETWORKS`, the same every time."""
    import_spandrel()
    network = NETWORKS[name]
    torch.manual_seed(0)
    module = importlib.import_module(f"spandrel.architectures.{network.architecture}")
    built = getattr(module, network.name)(**network.sizes)
    state = built.state_dict()
    if name == "SPAN":  # it works in [0, 255], and only training brings its output back to [0, 1]
        state["upsampler.0.weight"] /= 255
    torch.save({"params": state}, path)
