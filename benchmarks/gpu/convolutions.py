"""cuDNN's rate for the five convolutions of a dense block, which are nearly all of RRDB's work."""

from functools import partial

import torch
from torch.nn import functional as F

from benchmarks.gpu.peak import best
from benchmarks.gpu.run import Found, Run

__all__ = ["convolutions"]

# Channels in and out of the convolutions of RRDB's dense block.
CHANNELS = ((64, 32), (96, 32), (128, 32), (160, 32), (192, 64))
BLOCKS = 69  # dense blocks of RRDB-23


@torch.inference_mode()
def convolutions(run: Run) -> Found:
    """TFLOP/s of each, channels-last in the network's dtype, with the kernel found fastest.

    Without bias, which PyTorch would add in a kernel of its own. `lr_mp_per_second` is what RRDB-23
    could reach if it had nothing but these convolutions, each at this rate.
    """
    torch.backends.cudnn.benchmark = True
    for side in run.sizes.convolution:
        flops, seconds = [], []
        for inputs, outputs in CHANNELS:
            image, weight = (
                torch.randn(shape, device=run.device, dtype=run.dtype).to(
                    memory_format=torch.channels_last
                )
                for shape in ((1, inputs, side, side), (outputs, inputs, 3, 3))
            )
            flops.append(2 * 9 * inputs * outputs * side**2 / 1e12)
            seconds.append(best(run, partial(F.conv2d, image, weight, padding=1)))
        rates = [count / time for count, time in zip(flops, seconds, strict=True)]
        names = [f"{inputs} to {outputs}" for inputs, outputs in CHANNELS]
        yield (
            f"1×{side}×{side}",
            {
                **dict(zip(names, rates, strict=True)),
                "together": sum(flops) / sum(seconds),
                "lr_mp_per_second": side**2 / (BLOCKS * sum(seconds)) / 1e6,
            },
        )
