"""How much memory a run has taken, and what to do when there is not enough."""

import contextlib
import sys
from collections.abc import Iterator

import torch

from sr_runtime.errors import OutOfMemoryError, SRError
from sr_train.config.schema import Config

__all__ = ["memory_advice", "peak_memory"]


@contextlib.contextmanager
def memory_advice(config: Config) -> Iterator[None]:
    """Raise OutOfMemoryError, with what to change, where PyTorch or Python runs out of memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        exhausted = isinstance(error, (MemoryError, torch.OutOfMemoryError))
        if isinstance(error, SRError) or not (exhausted or "allocate memory" in reason):
            raise
        raise OutOfMemoryError(
            f"not enough memory ({reason or 'no details'}) for batch_size {config.batch_size} in "
            f"grad_accumulation {config.grad_accumulation} part(s): use more parts, or smaller "
            "batches, crops or networks"
        ) from error


def peak_memory(device: torch.device) -> float:
    """The most bytes so far: of tensors on a GPU, else of this process with its mapped files.

    NaN on Windows, where Python cannot tell.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
