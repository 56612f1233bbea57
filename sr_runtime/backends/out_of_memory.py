"""Whether an error of an engine or of PyTorch means that memory ran out: they say so in words."""

from collections.abc import Iterator
from contextlib import contextmanager

from sr_runtime.errors import OutOfMemoryError, SRError

__all__ = ["is_out_of_memory", "memory_for_network"]

# Never "alloc" alone: "pre-allocated buffer" and "allocator config" are about something else.
WORDS = (
    "out of memory",
    "not enough memory",  # PyTorch on Windows
    "bad_alloc",  # C++
    "bad allocation",
    "failed to allocate",  # ONNX Runtime's arena, OpenVINO
    "available memory of",  # ONNX Runtime's arena, at its limit
    "alloc_failed",  # cuBLAS
    "resource allocation failed",  # cuBLAS, through ONNX Runtime
    "allocation_failed",  # cuDNN
    "outofmemory",  # TensorRT
    "insufficient memory",
    "can't alloc",  # PyTorch on other CPUs, OpenVINO's layers
    "cannot allocate memory",  # the system
    "failed to map segment",  # the system, of a library
    "memory allocation",
    "exceeds the max buffer size",  # WebGPU
    # WebGPU says only in its log that an allocation failed; this is the next use of the buffer.
    "is invalid due to a previous error",
)


def is_out_of_memory(error: Exception | str) -> bool:
    """Whether an engine's exception or message says that there is not enough memory."""
    message = str(error).lower()
    return isinstance(error, MemoryError) or any(words in message for words in WORDS)


@contextmanager
def memory_for_network(task: str) -> Iterator[None]:
    """Raise OutOfMemoryError where PyTorch or numpy runs out of memory in the block.

    Args:
        task: A verb and its object, as in "export the model".
    """
    try:
        yield
    except SRError:  # said already, and better
        raise
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        detail = f" ({' '.join(str(error).split())})" if str(error) else ""
        raise OutOfMemoryError(
            f"not enough memory to {task}{detail}: close other programs or use a machine with more"
        ) from error
