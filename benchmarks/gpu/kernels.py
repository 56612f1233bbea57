"""Speed of the bare engines by tile and batch: pixels per second, and latency of a batch."""

import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu.engines import Engine, open_engines
from benchmarks.gpu.parity import TORCH
from benchmarks.gpu.run import Found, Run, reason_of
from benchmarks.gpu.stream import latencies, stream
from sr_runtime.backends.base import Backend
from sr_runtime.errors import OutOfMemoryError
from sr_runtime.tensor import tensor_from_tiles

__all__ = ["kernels"]

ON_DEVICE = f"{TORCH}, on the device"

Kernel = Callable[[int, int], tuple[float, list[float]]]
"""Takes tile and batch; returns LR pixels per second and the seconds of single batches."""


def kernels(run: Run) -> Found:
    """Rows by contender and shape, one shape at a time; the contenders take turns at each."""
    contenders: dict[str, Kernel] = {ON_DEVICE: _torch_kernel(run)}
    contenders |= {engine.name: _engine_kernel(run, engine) for engine in open_engines(run)}
    rates: dict[tuple[str, int, int], list[float]] = {}
    waits: dict[tuple[str, int, int], list[float]] = {}
    refused: set[tuple[str, int, int]] = set()
    for turn in run.rounds("bare kernels"):
        for (tile, batch), (name, kernel) in itertools.product(
            run.sizes.shapes, contenders.items()
        ):
            key, shape = (name, tile, batch), f"{batch}×{tile}×{tile}"
            if key in refused or (turn and key not in rates):
                continue
            if turn == 0 and run.left() < 0 and rates:
                run.leave_out(f"bare kernels of {shape}", "no time was left: give more --minutes")
                continue
            try:
                rate, seconds = kernel(tile, batch)
            except Exception as error:  # out of memory, outside an engine's profile, …
                refused.add(key)
                run.leave_out(f"{name}, {shape}", reason_of(error))
                continue
            rates.setdefault(key, []).append(rate / 1e6)
            waits.setdefault(key, []).extend(seconds)
            yield (
                f"{name}, {shape}",
                {
                    "contender": name,
                    "tile": tile,
                    "batch": batch,
                    "lr_mp_per_second": statistics.median(rates[key]),
                    "by_round": rates[key],
                    "latency_ms_p50": _percentile(waits[key], 50),
                    "latency_ms_p99": _percentile(waits[key], 99),
                    "latencies": len(waits[key]),
                },
            )


def _engine_kernel(run: Run, engine: Engine) -> Kernel:
    backend: Backend = engine.upscaler.backend

    def measure(tile: int, batch: int) -> tuple[float, list[float]]:
        pixels = run.photo_of(tile, tile)
        tiles = [np.roll(pixels, 8 * i, 0) for i in range(batch)]
        tensor = tensor_from_tiles(tiles, backend.info, pixels=backend.limits.pixels)
        depth = backend.limits.depth
        try:
            # Every slot prepares itself for a new shape, and in its second run records a graph.
            stream(backend, [tensor] * 2 * depth)
            count = depth + run.repeats(stream(backend, [tensor]))
            rate = count * batch * tile**2 / stream(backend, [tensor] * count)
            return rate, latencies(backend, tensor, max(3, count // 2))
        except OutOfMemoryError:
            backend.shrink()
            raise

    return measure


def _torch_kernel(run: Run) -> Kernel:
    """The plain network, with input and output on the device."""
    generator = run.to_device()

    @torch.inference_mode()
    def measure(tile: int, batch: int) -> tuple[float, list[float]]:
        pixels: NDArray[Any] = run.photo_of(tile, tile).transpose(2, 0, 1) / np.float32(255)
        tensor = torch.from_numpy(np.stack([np.roll(pixels, 8 * i, 1) for i in range(batch)]))
        tensor = tensor.to(run.device, run.dtype, memory_format=torch.channels_last)

        def seconds_of(count: int) -> float:
            start = time.perf_counter()
            for _ in range(count):
                generator(tensor)
            run.synchronize()
            return time.perf_counter() - start

        try:
            seconds_of(2)
            count = run.repeats(seconds_of(1))
            rate = count * batch * tile**2 / seconds_of(count)
            return rate, [seconds_of(1) for _ in range(max(3, count // 2))]
        finally:
            torch.cuda.empty_cache()  # for the other contenders; a no-op without a GPU

    return measure


def _percentile(seconds: list[float], percent: int) -> float:
    """The percentile in milliseconds; of fewer than 100 values the 99th is the largest."""
    return 1e3 * float(np.percentile(seconds, percent, method="higher"))
