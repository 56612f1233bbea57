"""The card, the driver, the packages, and how busy the card is."""

import contextlib
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterator

import torch

from benchmarks.gpu.run import Found, Run
from benchmarks.machine import processor

__all__ = ["environment", "gpu_state", "utilization"]

PACKAGES = (
    *("torch", "triton", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "openvino"),
    *("onnxruntime-ep-webgpu", "tensorrt", "tensorrt-lean", "tensorrt-rtx-cu13"),
    *("tensorrt-rtx-cu12", "cuda-bindings", "pycuda"),
)
STATE = (
    *("driver_version", "clocks.sm", "clocks.max.sm", "clocks.mem", "power.draw", "power.limit"),
    *("temperature.gpu", "utilization.gpu", "memory.used"),
)
NVIDIA_SMI = "nvidia-smi"
EVERY_MS = 100


def environment(run: Run) -> Found:
    """Names and versions, and the state of the GPU before any work."""
    yield "processor", processor()
    yield "cores", os.cpu_count()
    yield "python", platform.python_version()
    yield "packages", {name: version for name in PACKAGES if (version := _version(name))}
    yield "cuda", torch.version.cuda
    yield "cudnn", torch.backends.cudnn.version()
    if run.device.type == "cuda":
        card = torch.cuda.get_device_properties(run.device)
        yield "gpu", card.name
        yield "compute_capability", f"{card.major}.{card.minor}"
        yield "memory_gb", round(card.total_memory / 1e9, 1)
        yield "multiprocessors", card.multi_processor_count
        yield "gpus", torch.cuda.device_count()
    yield "state", gpu_state(run)


def gpu_state(run: Run) -> dict[str, str] | None:
    """Clocks, power and temperature as nvidia-smi prints them; None if it fails."""
    query = [f"--query-gpu={','.join(STATE)}", "--format=csv,noheader"]
    try:
        command = [NVIDIA_SMI, *_card(run.device), *query]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (ValueError, OSError, subprocess.SubprocessError) as error:
        run.leave_out("clocks, power and temperature", _silence(run.device, error))
        return None
    values = [value.strip() for value in done.stdout.strip().split(",")]
    return dict(zip(STATE, values, strict=False))


@contextlib.contextmanager
def utilization(run: Run) -> Iterator[list[int]]:
    """Sample the GPU's utilisation in per cent during the block; the list is full at its end."""
    samples: list[int] = []
    query = [
        "--query-gpu=utilization.gpu",
        "--format=csv,noheader,nounits",
        f"--loop-ms={EVERY_MS}",
    ]
    try:
        command = [NVIDIA_SMI, *_card(run.device), *query]
        sampler = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    except (ValueError, OSError) as error:
        run.leave_out("GPU utilisation", _silence(run.device, error))
        yield samples
        return
    try:
        yield samples
    finally:
        sampler.terminate()
        said, _ = sampler.communicate()
        samples += [int(line) for line in said.split("\n") if line.strip().isdigit()]
        if not samples:
            run.leave_out("GPU utilisation", "nvidia-smi told none while it was asked")


def _card(device: torch.device) -> list[str]:
    """nvidia-smi's options for this card, by UUID: its numbers of cards are not CUDA's.

    Raises ValueError for a CPU.
    """
    if device.type != "cuda":
        raise ValueError("the benchmark runs on the CPU")
    return ["-i", f"GPU-{torch.cuda.get_device_properties(device).uuid}"]


def _silence(device: torch.device, error: Exception) -> str:
    if isinstance(error, ValueError):
        return f"{error}, and nvidia-smi tells of GPUs alone"
    return f"nvidia-smi, which tells them, cannot be run ({error})"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
