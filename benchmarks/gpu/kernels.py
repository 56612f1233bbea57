"""Speed of the bare engines by tile and batch: pixels per second, and latency of a batch."""

import math
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks.gpu.engines import open_engines
from benchmarks.gpu.parity import TORCH
from benchmarks.gpu.run import Found, Run
from benchmarks.gpu.stream import stream
from sr_runtime.backends.base import Backend
from sr_runtime.errors import OutOfMemoryError
from sr_runtime.tensor import tensor_from_tiles

__all__ = ["kernels"]

ON_DEVICE = f"{TORCH}, on the device"
MOST = 200  # batches in one measurement

SecondsOf = Callable[[int], float]
"""Takes a number of batches; returns their seconds, as many in flight as the engine holds."""
Kernel = Callable[[int, int], tuple[SecondsOf, int]]
"""Takes tile and batch; returns how to time them, and how many are in flight."""


def kernels(run: Run) -> Found:
    """Rows by shape and contender. All contenders take one shape before the next shape begins."""
    contenders: dict[str, Kernel] = {ON_DEVICE: partial(_torch_kernel, run, run.to_device())}
    for engine in open_engines(run):
        contenders[engine.name] = partial(_engine_kernel, run, engine.upscaler.backend)
    for number, (tile, batch) in enumerate(run.sizes.shapes):
        shape = f"{batch}×{tile}×{tile}"
        if number and run.left() < 0:
            run.leave_out(f"bare engines with {shape}", "no time was left: give more --minutes")
            continue
        for name, kernel in contenders.items():
            # Fails out of memory, outside an engine's profile, …
            if row := run.attempt(f"{name}, {shape}", partial(_measure, run, kernel, tile, batch)):
                yield f"{name}, {shape}", row
            torch.cuda.empty_cache()  # torch keeps memory that the next contender needs


def _measure(run: Run, kernel: Kernel, tile: int, batch: int) -> dict[str, float]:
    seconds_of, depth = kernel(tile, batch)
    # Every slot prepares itself for a new shape, and in its second run records a graph.
    seconds_of(2 * depth)
    count = depth + max(1, min(MOST, math.ceil(run.sizes.seconds / seconds_of(1))))
    rate = count * batch * tile**2 / seconds_of(count)
    alone = statistics.median(seconds_of(1) for _ in range(max(3, count // 2)))
    return {"lr_mp_per_second": rate / 1e6, "latency_ms": 1e3 * alone}


def _engine_kernel(run: Run, backend: Backend, tile: int, batch: int) -> tuple[SecondsOf, int]:
    pixels = run.photo_of(tile, tile)
    tiles = [np.roll(pixels, 8 * i, 0) for i in range(batch)]
    tensor = tensor_from_tiles(tiles, backend.info, pixels=backend.limits.pixels)

    def seconds_of(count: int) -> float:
        try:
            return stream(backend, [tensor] * count)
        except OutOfMemoryError:
            backend.shrink()
            raise

    return seconds_of, backend.limits.depth


def _torch_kernel(
    run: Run, generator: torch.nn.Module, tile: int, batch: int
) -> tuple[SecondsOf, int]:
    """The plain network, with input and output on the device."""
    pixels = run.photo_of(tile, tile).transpose(2, 0, 1) / np.float32(255)
    tensor = torch.from_numpy(np.stack([np.roll(pixels, 8 * i, 1) for i in range(batch)]))
    tensor = tensor.to(run.device, run.dtype, memory_format=torch.channels_last)

    @torch.inference_mode()
    def seconds_of(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            generator(tensor)
        run.synchronize()
        return time.perf_counter() - start

    return seconds_of, 1
