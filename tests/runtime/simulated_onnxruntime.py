"""ONNX Runtime's CUDA provider on simulated GPUs: its CPU provider, working in their memory."""

import contextlib
import sys
from collections.abc import Iterator

import pytest

from sr_runtime.backends.onnxruntime import cuda as onnxruntime_cuda
from sr_runtime.backends.onnxruntime import stream_slot
from sr_runtime.backends.onnxruntime.providers import shrinking
from sr_runtime.backends.onnxruntime.session import Provider, ort
from tests.simulated_tensorrt import Machine, simulated

__all__ = ["simulated_cuda_provider"]

SHRINK = "memory.enable_memory_arena_shrinkage"


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
        patch.setattr(onnxruntime_cuda, "shrinking", lambda _: shrinking_the_cpu())
        patch.setattr(stream_slot, "MEMORY", "cpu")
        yield machine


def shrinking_the_cpu() -> ort.RunOptions:
    """What `shrinking` asks of a GPU, asked of the CPU."""
    asked = shrinking(0).get_run_config_entry(SHRINK)
    options = ort.RunOptions()
    options.add_run_config_entry(SHRINK, asked.replace("gpu", "cpu"))
    return options
