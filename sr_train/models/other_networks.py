"""Names the networks that people mistake for an ESRGAN generator, by the names of their tensors."""

import re
from collections.abc import Collection
from itertools import islice

__all__ = ["is_no_generator", "name_network"]

# More names than any network needs to be told by.
MOST_NAMES = 20_000

# Generators for super-resolution that are not this project's. All expressions of a row must match,
# each at the beginning of a name, or of a part of it after a dot; the first row that fits counts.
GENERATORS = (
    ("HAT", r"layers\.0\.residual_group\.overlap_attn\."),
    ("ATD", r"layers\.0\.residual_group\.layers\.0\.attn_atd\."),
    ("Swin2SR", r"layers\.0\.residual_group\.blocks\.0\.attn\.(?:logit_scale|cpb_mlp)"),
    ("SRFormer", r"layers\.0\.residual_group\.blocks\.0\.attn\.aligned_relative_position_index"),
    ("CRAFT", r"layers\.0\.residual_group\.hf_blocks\."),
    ("DRCT", r"layers\.0\.swin1\.", r"layers\.0\.adjust1\."),
    ("SwinIR", r"layers\.0\.residual_group\.blocks\.0\.(?:attn|norm1)\."),
    ("RGT", r"before_RG\.", r"layers\.0\.blocks\.\d\.gamma$"),
    ("DAT", r"before_RG\.", r"layers\.0\.blocks\.0\."),
    ("FDAT", r"groups\.0\.blocks\.0\.(?:attn|inter)\."),
    ("GRL", r"layers\.0\.blocks\.0\.attn\.(?:window_attn|stripe_attn|anchor)"),
    ("PLKSR", r"feats\.1\.lk\.", r"feats\.1\.channe_mixer\."),
    ("RealPLKSR with DySample", r"feats\.1\.channel_mixer\.", r"to_img\."),
    ("SPANPlus", r"feats\.0\.eval_conv\."),
    ("OmniSR", r"residual_layer\.0\.residual_layer\.0\."),
    ("SAFMN", r"feats\.0\.safm\."),
    ("MoSR", r"gblocks\.0\."),
    ("RTMoSR", r"body\.0\.fc1\.conv3\."),
    ("ESC", r"blocks\.0\.(?:plk|proj)\b.*", r"plk_filter$"),
    ("RCAN", r"body\.0\.(?:body\.0\.body\.0|residual_group\.0\.rcab)\."),
    ("RCAN", r"body\.0\.body\.0\.conv_du\."),
    ("EDSR", r"body\.0\.(?:body\.0|conv1)\.", r"(?:conv_after_body|tail\.0\.0|tail\.0)\."),
    ("SRResNet", r"body\.0\.conv1\.", r"(?:upconv1|conv_hr)\."),
    ("SRResNet", r"residual_blocks\.0\.|block2\.conv1\.", r"block\d+\."),
    ("RDN", r"RDBs\.0\.convs\.0\.|rdbs\.0\.layers\.0\."),
    ("CARN", r"b1\.(?:b1|c1)\.", r"upsample\.up"),
    ("FSRCNN", r"first_part\.", r"last_part\."),
    ("IMDN", r"IMDB1\."),
    ("RFDN", r"B1\.c1_[dr]\."),
    ("RealCUGAN", r"unet1\.conv1\.", r"unet2\."),
    ("Restormer", r"patch_embed\.proj\.", r"encoder_level1\.0\."),
    ("NAFNet", r"intro\.", r"encoders\.0\.0\."),
    ("SCUNet", r"m_head\.0\.", r"m_down1\."),
    ("Uformer", r"encoderlayer_0\.blocks\.0\."),
    ("BasicVSR", r"spynet\."),
    ("EDVR", r"pcd_align\."),
    ("GFPGAN", r"(?:stylegan_decoder|stylegan_decoderdot\w+)[._]"),
    ("CodeFormer", r"fuse_convs_dict\."),
)

# What else is mistaken for a generator, and what to give instead.
OTHERS = (
    (
        "a LoRA, a change to a diffusion model",
        r"\w*\.?(?:lora_(?:up|down|A|B|unet|te)|lokr_|hada_)",
    ),
    ("a diffusion model such as Stable Diffusion", r"(?:model\.)?diffusion_model\.\w+_blocks?\."),
    ("a diffusion model such as Stable Diffusion", r"down_blocks\.0\.(?:resnets|attentions)\."),
    ("a diffusion model such as FLUX", r"double_blocks\.0\."),
    ("a part of a diffusion model", r"(?:text_model\.encoder|control_model|first_stage_model)\."),
    ("an autoencoder of a diffusion model", r"decoder\.up\.0\.", r"encoder\.down\.0\."),
    ("an LPIPS metric", r"lin0\.model\.1\."),
    ("a network that classifies images, such as VGG", r"features\.\d+\.", r"classifier\.\d\."),
    ("a network that classifies images, such as ResNet", r"layer1\.0\.conv1\.", r"fc\."),
    ("a discriminator", r"conv0_0\.", r"linear1\."),
    ("a discriminator", r"conv0\.weight$", r"conv[1-8]\.weight_(?:orig|u|v)$"),
    ("a discriminator", r"features\.\d+\.\d\.", r"classifier\."),
    ("a discriminator", r"(?:net_?d|discriminator)\."),
)


def name_network(names: Collection[str]) -> str | None:
    """The sentence that says to which other network tensors of these names belong, if it is known.

    Only the first thousands of names are looked at.
    """
    lines = _lines(names)
    for name, *typical in GENERATORS:
        if _match(lines, typical):
            return f"this is a network of the architecture {name}, which this project does not know"
    for what, *typical in OTHERS:
        if _match(lines, typical):
            return f"this is {what}, and no super-resolution generator: give the generator's file"
    return None


def is_no_generator(names: Collection[str]) -> bool:
    """Whether tensors of these names are known to belong to something else."""
    lines = _lines(names)
    return not any(_match(lines, typical) for _, *typical in GENERATORS) and any(
        _match(lines, typical) for _, *typical in OTHERS
    )


def _lines(names: Collection[str]) -> str:
    return "\n".join(islice(names, MOST_NAMES))


def _match(lines: str, typical: Collection[str]) -> bool:
    """Whether each expression matches at the beginning of a line, or after a dot."""
    return all(re.search(rf"(?:^|\.)(?:{each})", lines, re.MULTILINE) for each in typical)
