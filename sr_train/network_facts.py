"""Network facts available without importing PyTorch (slow)."""

__all__ = ["SCALES", "UNET_STRIDE", "VGG_BLOCKS", "perceptual_layers"]

SCALES = (1, 2, 3, 4, 8, 16)
"""The scale factors of RRDBNet."""

UNET_STRIDE = 8
"""The U-Net discriminator halves its input three times."""

VGG_BLOCKS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
"""Convolutions in each block of Simonyan and Zisserman's networks, 2015 (arXiv:1409.1556)."""


def perceptual_layers(network: str) -> tuple[str, ...]:
    """Names of the layers whose features a perceptual loss can compare."""
    if network == "squeezenet1_1":
        return "relu1", *(f"fire{i}" for i in range(2, 10))
    if network == "vgg16_st_lpips":
        return tuple(f"relu{i}" for i in range(1, 6))
    blocks = enumerate(VGG_BLOCKS[network], start=1)
    return tuple(f"conv{i}_{k}" for i, count in blocks for k in range(1, count + 1))
