"""The module that is exported: a generator between the conversions of a file's input and output."""

import torch
from torch import Tensor, nn

from sr_runtime.model_info import IO
from sr_train.models.generator import Generator

__all__ = ["WithIO"]


class WithIO(nn.Module):
    """A generator between the input and output conversions of the model contract."""

    def __init__(self, generator: Generator, dtype: torch.dtype, io: IO) -> None:
        super().__init__()
        self.generator = generator
        self.dtype = dtype
        self.io = io

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        if self.io == "float32":
            output: Tensor = self.generator(image.to(self.dtype)).float()
            return output
        # In TensorRT only a Cast may touch uint8 (NVIDIA/TensorRT#3985): layout changes in floats.
        planes = image.to(self.dtype).permute(0, 3, 1, 2) / 255
        output = self.generator(planes).float()
        # Not `all`: the exporter turns it into a chain of int64 reductions.
        finite = output.isfinite().float().amin(dim=(1, 2, 3)) > 0
        pixels = (output.clamp(0, 1) * 255).round().permute(0, 2, 3, 1)
        return pixels.to(torch.uint8), finite
