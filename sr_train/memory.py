"""How much memory a run has taken, and what to do when there is not enough."""

import contextlib
import errno
import re
import sys
from collections.abc import Iterator

import torch

from sr_runtime.errors import OutOfMemoryError, SRError
from sr_train.config.schema import Config

__all__ = ["is_exhaustion", "memory_advice", "peak_memory"]

# What PyTorch says on the CPU, of sizes beyond 64 bits, and of workers that load data.
EXHAUSTION = re.compile(
    r"allocate memory|not enough memory|out of memory|Storage size calculation overflowed"
    r"|shared memory|worker .* is killed by signal: (Killed|Bus error)"
)


@contextlib.contextmanager
def memory_advice(config: Config) -> Iterator[None]:
    """Raise OutOfMemoryError, with what to change, where PyTorch or Python runs out of memory."""
    try:
        yield
    except (MemoryError, OSError, RuntimeError) as error:
        if isinstance(error, SRError) or not is_exhaustion(error):
            raise
        reason = str(error).partition("\n")[0]
        raise OutOfMemoryError(
            f"not enough memory ({reason or 'no details'}) for batch_size {config.batch_size} in "
            f"grad_accumulation {config.grad_accumulation} part(s): use more parts, fewer "
            "workers, or smaller batches, crops or networks"
        ) from error


def is_exhaustion(error: BaseException) -> bool:
    """Whether an error of Python, PyTorch or the system says that there is not enough memory."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and bool(EXHAUSTION.search(str(error)))


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
