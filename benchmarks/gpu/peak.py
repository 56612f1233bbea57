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
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.gpu.environment import gpu_state
from benchmarks.gpu.run import Found, Run
from sr_train.models.generator import Generator

__all__ = ["best", "peak"]

TRIES = 7
SIDE = 16  # of the image on which operations are counted; any size will do


def peak(run: Run) -> Found:
    """FLOP/s of large matrix products, bytes/s of a large copy, and what the network needs."""
    device, side = run.device, run.sizes.matmul
    for dtype in (torch.float16, torch.float32):
        # Without TF32, torch's default for matrix products. Zeros would let the card clock higher.
        a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
        product = torch.empty_like(a)
        seconds = best(run, partial(torch.mm, a, b, out=product))
        yield f"{_name(dtype)}_flops", 2 * side**3 / seconds
        if dtype == torch.float16:
            yield "state_after", gpu_state(run)
        del a, b, product
    copied = run.sizes.copied
    if device.type == "cuda":
        copied = min(copied, torch.cuda.mem_get_info(device)[0] // 4)
    source = torch.randint(256, (copied,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    yield "copy_bytes_per_second", 2 * copied / best(run, partial(target.copy_, source))
    flops, moved, eager = _per_pixel(run.generator, run.dtype.itemsize)
    yield "dtype", _name(run.dtype)
    yield "flop_per_lr_pixel", flops
    yield "bytes_per_lr_pixel", moved
    yield "eager_bytes_per_lr_pixel", eager


@torch.no_grad()
def _per_pixel(generator: Generator, size: int) -> tuple[float, float, float]:
    """FLOPs per LR pixel, bytes moved by convolutions, and bytes moved by all operations.

    The first two are Σ 2·k²·cin·cout·p and Σ size·(cin·q + cout·p) over the convolutions, which
    read q pixels and write p pixels per LR pixel; a number takes `size` bytes. The last adds the
    concatenations, activations and sums that eager PyTorch runs one by one.
    """
    counted = copy.deepcopy(generator).to("meta")
    with _Counted() as sums:
        counted(torch.empty(1, generator.in_channels, SIDE, SIDE, device="meta"))
    bytes_per_pixel = size / SIDE**2
    return (
        sums.flops / SIDE**2,
        sums.moved_by_convolutions * bytes_per_pixel,
        sums.moved * bytes_per_pixel,
    )


class _Counted(TorchDispatchMode):
    """Counts the FLOPs of the operations in the block, and the numbers they read and write."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = self.moved = self.moved_by_convolutions = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func.is_view or not isinstance(output, Tensor):
            return output
        tensors = [x for x in tree_leaves((args, output)) if isinstance(x, Tensor)]
        # Weights are read once for all pixels of a tile.
        moved = sum(x.numel() for x in tensors if not isinstance(x, nn.Parameter))
        self.moved += moved
        if func is torch.ops.aten.convolution.default:
            self.flops += 2 * args[1][0].numel() * output.numel()
            self.moved_by_convolutions += moved
        return output


def _name(dtype: torch.dtype) -> str:
    return {torch.float16: "fp16", torch.float32: "fp32"}[dtype]


def best(run: Run, work: Callable[[], object]) -> float:
    """Seconds of the fastest of several tries, each long enough to measure."""
    work()
    run.synchronize()
    start = time.perf_counter()
    work()
    run.synchronize()
    repeats = max(1, round(run.sizes.seconds / 4 / (time.perf_counter() - start)))
    tries = []
    for _ in range(TRIES):
        start = time.perf_counter()
        for _ in range(repeats):
            work()
        run.synchronize()
        tries.append((time.perf_counter() - start) / repeats)
    return min(tries)
