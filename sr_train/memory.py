"""Memory: how much a run has taken, and what to do when it is not enough."""

import contextlib
import sys
from collections.abc import Iterator

import torch

from sr_runtime.errors import OutOfMemoryError
from sr_train.config.schema import Config

__all__ = ["memory_advice", "peak_memory"]


@contextlib.contextmanager
def memory_advice(config: Config) -> Iterator[None]:
    """Turn PyTorch's errors of memory into a sentence."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in reason:
            raise
        raise OutOfMemoryError(
            f"not enough memory for batch_size {config.batch_size} in grad_accumulation "
            f"{config.grad_accumulation} part(s): accumulate more parts, or take smaller batches, "
            f"crops or networks ({reason})"
        ) from error


def peak_memory(device: torch.device) -> int:
    """Bytes: what tensors took on the GPU; or this process in main memory, with mapped files."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
