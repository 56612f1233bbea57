"""The measured peak of the card, and what it allows the network.

Inference takes at least the time of its floating-point operations at the rate of a large matrix
product. While every convolution reads and writes the device's memory, it also takes at least the
time of those bytes at the rate of a large copy. The larger of the two times is the limit.
"""

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.gpu.environment import gpu_state
from benchmarks.gpu.run import Found, Run
from sr_train.models.generator import Generator

__all__ = ["MOST", "best", "peak"]

MOST = {limit: f"most_lr_mp_per_second_by_{limit}" for limit in ("arithmetic", "memory")}
"""The names under which `peak` finds what each limit allows."""
NAMES = {torch.float16: "fp16", torch.float32: "fp32"}
TRIES = 7
SIDE = 16  # of the image on which operations are counted; any size will do


def peak(run: Run) -> Found:
    """Rates of large matrix products and of a large copy, and what the network needs of them."""
    device, side = run.device, run.sizes.matmul
    rates = {}
    for dtype, name in NAMES.items():
        # Without TF32, torch's default for matrix products. Zeros would let the card clock higher.
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        rates[dtype] = 2 * side**3 / best(run, partial(torch.mm, a, b, out=torch.empty_like(a)))
        yield f"{name}_TFLOP_per_second", rates[dtype] / 1e12
        if dtype == torch.float16 and device.type == "cuda":
            yield "state_after", gpu_state(device)
        del a, b
    copied = run.sizes.copied
    if device.type == "cuda":
        copied = min(copied, torch.cuda.mem_get_info(device)[0] // 4)
    source = torch.randint(256, (copied,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    moved = 2 * copied / best(run, partial(target.copy_, source))
    yield "copied_GB_per_second", moved / 1e9
    flops, numbers = _per_pixel(run.generator)
    size = numbers * run.dtype.itemsize
    yield "dtype", NAMES[run.dtype]
    yield "MFLOP_per_lr_pixel", flops / 1e6
    yield "MB_per_lr_pixel", size / 1e6
    yield MOST["arithmetic"], rates[run.dtype] / flops / 1e6
    yield MOST["memory"], moved / size / 1e6


@torch.no_grad()
def _per_pixel(generator: Generator) -> tuple[float, float]:
    """FLOPs per LR pixel, and numbers moved by convolutions.

    They are Σ 2·k²·cin·cout·p and Σ (cin·q + cout·p) over the convolutions, which read q pixels and
    write p pixels per LR pixel. Weights are read once for all pixels of a tile.
    """
    counted = copy.deepcopy(generator).to("meta")
    flops: list[int] = []
    moved: list[int] = []

    def count(layer: nn.Conv2d, inputs: tuple[Any, ...], output: Any) -> None:
        flops.append(2 * layer.weight[0].numel() * output.numel())
        moved.append(inputs[0].numel() + output.numel())

    for module in counted.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    counted(torch.empty(1, generator.in_channels, SIDE, SIDE, device="meta"))
    return sum(flops) / SIDE**2, sum(moved) / SIDE**2


def best(run: Run, work: Callable[[], object]) -> float:
    """Seconds of the fastest of several tries, each long enough to measure."""

    def seconds_of(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            work()
        run.synchronize()
        return (time.perf_counter() - start) / count

    seconds_of(3)  # libraries choose kernels, and record them
    repeats = max(1, round(run.sizes.seconds / 4 / seconds_of(1)))
    return min(seconds_of(repeats) for _ in range(TRIES))
