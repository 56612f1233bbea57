"""Whether an engine's error means that memory ran out: engines say so only in words."""

__all__ = ["is_out_of_memory"]

# Never "alloc" alone: "pre-allocated buffer" and "allocator config" are about something else.
WORDS = (
    "out of memory",
    "bad_alloc",  # C++
    "bad allocation",
    "failed to allocate",  # ONNX Runtime's arena, OpenVINO
    "available memory of",  # ONNX Runtime's arena, at its limit
    "alloc_failed",  # cuBLAS
    "allocation_failed",  # cuDNN
    "outofmemory",  # TensorRT
    "insufficient memory",
    "can't alloc",  # PyTorch on a CPU, OpenVINO's layers
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
