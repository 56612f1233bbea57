"""The machine: its card, driver and packages, and the state of the card."""

import importlib.metadata
import os
import platform
import subprocess

import torch

from benchmarks.gpu.run import Found, Run
from benchmarks.machine import processor

__all__ = ["environment", "gpu_state"]

PACKAGES = (
    *("torch", "triton", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "openvino"),
    *("onnxruntime-ep-webgpu", "tensorrt", "tensorrt-lean", "tensorrt-rtx-cu13"),
    *("tensorrt-rtx-cu12", "cuda-bindings", "pycuda"),
)
STATE = (
    *("driver_version", "clocks.sm", "clocks.max.sm", "clocks.mem", "power.draw", "power.limit"),
    *("temperature.gpu", "utilization.gpu", "memory.used"),
)


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
        yield "memory_GB", round(card.total_memory / 1e9, 1)
        yield "multiprocessors", card.multi_processor_count
        yield "gpus", torch.cuda.device_count()
        yield "state", gpu_state(run.device)


def gpu_state(device: torch.device) -> str:
    """Clocks, power and temperature as nvidia-smi prints them, or why it fails."""
    # By UUID: nvidia-smi's numbers of cards are not CUDA's.
    card = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    command = ["nvidia-smi", "-i", card, f"--query-gpu={','.join(STATE)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError) as error:
        return f"nvidia-smi cannot be run ({error})"
    values = done.stdout.strip().split(", ")
    return ", ".join(f"{name} {value}" for name, value in zip(STATE, values, strict=False))


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
