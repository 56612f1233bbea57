"""How PyTorch computes in training: the type of its convolutions, and its choice of algorithms."""

import contextlib
import os
from collections.abc import Iterator
from typing import Literal

import torch

from sr_runtime.errors import BackendError

__all__ = ["Precision", "algorithms", "autocast", "compute_dtype", "resolve_precision"]

Precision = Literal["auto", "fp32", "bf16", "fp16"]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_precision(precision: Precision, device: torch.device) -> Precision:
    """`precision`, with `auto` resolved to bf16 if `device` has it in hardware, else to fp32.

    Raises BackendError for bf16 on a GPU without it.
    """
    if precision == "auto":
        return "bf16" if _native_bf16(device) else "fp32"
    if precision == "bf16" and device.type == "cuda" and not _native_bf16(device):
        name = torch.cuda.get_device_name(device)
        raise BackendError(f"{name} does not compute in bf16: take --precision fp16 or fp32")
    return precision


def compute_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The type in which convolutions of this precision compute."""
    return DTYPES[resolve_precision(precision, device)]


def autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    """A context in which convolutions compute in `dtype`; weights and losses stay fp32."""
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def _native_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # PyTorch before 2.13 has no public names for these.
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


@contextlib.contextmanager
def algorithms(*, deterministic: bool) -> Iterator[None]:
    """Let PyTorch choose the fastest or only deterministic algorithms, within this context."""
    benchmark, mode = torch.backends.cudnn.benchmark, torch.get_deterministic_debug_mode()
    torch.backends.cudnn.benchmark = not deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = benchmark
        torch.set_deterministic_debug_mode(mode)
