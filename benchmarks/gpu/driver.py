"""CUDA memory, copies and graphs over the real driver, beside torch in the same process."""

import importlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.run import Found, Run, reason_of
from sr_runtime.backends.cuda.driver import missing
from sr_runtime.backends.cuda.memory import Device, TensorMemory
from sr_runtime.backends.cuda.pixels import PixelKernels
from sr_runtime.errors import BackendError

__all__ = ["driver"]

THREADS = 4
ROUNDS = 50
COPIED = 1 << 26  # bytes: long enough to measure the bus
SMALL = 1 << 20
# What contexts, streams and modules may keep when everything of ours is closed.
KEPT = 64 << 20


def driver(run: Run) -> Found:
    """Everything that backends do with a GPU, in both bindings."""
    if reason := missing():
        raise BackendError(reason)
    for name in ("bindings", "pycuda"):
        try:
            binding = importlib.import_module(f"sr_runtime.backends.cuda.{name}")
        except ImportError as error:
            run.leave_out(f"the driver through {name}", str(error))
            continue
        try:
            yield name, _checked(binding.CudaDevice(run.device.index or 0), run)
        # The other binding may work.
        except Exception as error:
            yield name, {"failed": reason_of(error)}


def _checked(gpu: Device, run: Run) -> dict[str, Any]:
    """Facts and rates. Raises BackendError for a wrong result."""
    beside = torch.arange(SMALL, device=run.device, dtype=torch.float32)
    with gpu.current():
        free = gpu.free_memory()
        found: dict[str, Any] = {"gpu": gpu.name, "threads": THREADS, **_copies(gpu)}
    with ThreadPoolExecutor(THREADS) as threads:
        for number, done in enumerate(threads.map(_round_trips, [gpu] * THREADS, range(THREADS))):
            if not done:
                raise BackendError(f"thread {number} of {THREADS} read back other bytes")
    with gpu.current():
        found["graph_launches"] = _graph(gpu)
        start = time.perf_counter()
        kernels = PixelKernels(gpu)
        found["kernels_loaded_in_ms"] = 1e3 * (time.perf_counter() - start)
        kernels.close()
        kept = free - gpu.free_memory()
    gpu.close()
    if kept > KEPT:
        raise BackendError(f"{kept / 1e6:.0f} MB stay allocated when everything is freed")
    if float(beside.sum(dtype=torch.float64)) != SMALL * (SMALL - 1) / 2:
        raise BackendError("torch's memory has changed meanwhile")
    return found


def _copies(gpu: Device) -> dict[str, float]:
    """GB/s to the GPU and back, through pinned memory."""
    memory, stream = TensorMemory("copied", np.uint8, gpu), gpu.stream()
    memory.reserve((COPIED,))
    sent = np.random.default_rng(0).integers(256, size=COPIED, dtype=np.uint8)
    rates = {}
    for name, copy in (("upload", memory.upload), ("download", memory.download)):
        memory.array[...] = sent if name == "upload" else 0
        copy(stream)
        stream.wait()
        if name == "download" and not np.array_equal(memory.array, sent):
            raise BackendError("the GPU gave back other bytes than were sent")
        start = time.perf_counter()
        copy(stream)
        stream.wait()
        rates[f"{name}_GB_per_second"] = COPIED / (time.perf_counter() - start) / 1e9
    memory.free()
    stream.close()
    return rates


def _round_trips(gpu: Device, seed: int) -> bool:
    """Send bytes and fetch them again and again, from this thread, in contexts pushed each time."""
    random = np.random.default_rng(seed)
    for _ in range(ROUNDS):
        sent = random.integers(256, size=SMALL, dtype=np.uint8)
        with gpu.current():
            memory, stream = TensorMemory("sent", np.uint8, gpu), gpu.stream()
            memory.reserve((SMALL,))
            memory.array[...] = sent
            memory.upload(stream)
            stream.wait()
            memory.array[...] = 0
            memory.download(stream)
            stream.wait()
            same = np.array_equal(memory.array, sent)
            memory.free()
            stream.close()
        if not same:
            return False
    return True


def _graph(gpu: Device) -> int:
    """Record an upload and a download, launch them twice; 0 where the binding has no graphs."""
    source, target = gpu.allocate_pinned(SMALL), gpu.allocate_pinned(SMALL)
    memory, stream = gpu.allocate(SMALL), gpu.stream()
    launches = 0
    if stream.begin_capture():
        stream.upload(memory, source, SMALL)
        stream.download(target, memory, SMALL)
        graph = stream.end_capture()
        if graph is None:
            raise BackendError("two copies could not be recorded as a graph")
        for value in (1, 2):
            source.array[...] = value
            graph.launch()
            stream.wait()
            if not (target.array == value).all():
                raise BackendError(f"launch {value} of a graph copied other bytes")
            launches += 1
        graph.close()
    for held in (source, target, memory):
        held.free()
    stream.close()
    return launches
