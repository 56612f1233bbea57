"""What is known of networks without PyTorch, whose import takes seconds."""

__all__ = ["SCALES", "UNET_STRIDE", "VGG_BLOCKS"]

SCALES = (1, 2, 3, 4, 8, 16)
"""Those of RRDBNet."""

UNET_STRIDE = 8
"""The U-Net discriminator halves its input three times."""

VGG_BLOCKS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
"""Convolutions in each block of Simonyan and Zisserman's networks, 2015 (arXiv:1409.1556)."""
