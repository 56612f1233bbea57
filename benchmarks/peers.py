"""What the field does, for comparison: the plainest loop over tiles, in PyTorch."""

import numpy as np
import torch
from numpy.typing import NDArray

from sr_train.models import Generator

__all__ = ["torch_tile_loop"]


@torch.inference_mode()
def torch_tile_loop(
    generator: Generator, image: NDArray[np.uint8], *, tile: int = 400, tile_pad: int = 10
) -> NDArray[np.uint8]:
    """Upscale `(H, W, C)` as Real-ESRGAN's Python does: eager FP32, one tile after the other.

    Tiles of `tile` pixels get `tile_pad` pixels of context where the image has them.
    """
    scale = generator.scale_factor
    height, width, channels = image.shape
    tensor = torch.tensor(image).permute(2, 0, 1)[None].float() / 255
    result = torch.empty(1, channels, height * scale, width * scale)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            bottom, right = min(top + tile, height), min(left + tile, width)
            y, x = max(top - tile_pad, 0), max(left - tile_pad, 0)
            padded = tensor[:, :, y : bottom + tile_pad, x : right + tile_pad]
            output = generator(padded)[
                :,
                :,
                (top - y) * scale : (bottom - y) * scale,
                (left - x) * scale : (right - x) * scale,
            ]
            result[:, :, top * scale : bottom * scale, left * scale : right * scale] = output
    return (result[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
