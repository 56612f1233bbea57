"""ONNX Runtime's CUDA provider on simulated GPUs: its CPU provider, working in their memory."""

import contextlib
import sys
from collections.abc import Iterator

import pytest

from sr_runtime.backends.onnxruntime import cuda as onnxruntime_cuda
from sr_runtime.backends.onnxruntime import stream_slot
from sr_runtime.backends.onnxruntime.session import Provider
from tests.simulated_tensorrt import Machine, simulated

__all__ = ["simulated_cuda_provider"]


@contextlib.contextmanager
def simulated_cuda_provider(gpus: int = 1) -> Iterator[Machine]:
    """In the block: an onnxruntime-gpu, and so many GPUs."""

    def providers(ordinal: int, **_: object) -> list[Provider]:
        assert 0 <= ordinal < gpus
        return [("CPUExecutionProvider", {})]

    with simulated(gpus=gpus) as machine, pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "tensorrt")  # it is of no use here
        patch.setattr(onnxruntime_cuda, "cuda_missing", lambda: None)
        patch.setattr(onnxruntime_cuda, "cuda_providers", providers)
        patch.setattr(stream_slot, "MEMORY", "cpu")
        yield machine
