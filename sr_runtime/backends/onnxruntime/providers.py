"""ONNX Runtime's CUDA provider: what it needs, and its options."""

import contextlib
import ctypes
import functools
import io
import re
import sys

from sr_runtime.backends.cuda import driver
from sr_runtime.backends.onnxruntime.session import Provider, ort

__all__ = ["cuda_missing", "cuda_providers", "shrinking"]

CUDNN = "cudnn64_9.dll" if sys.platform == "win32" else "libcudnn.so.9"


@functools.cache
def cuda_missing() -> str | None:
    """Why the CUDA provider does not work here, in one sentence; None if it should."""
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return (
            "the installed onnxruntime is the one without CUDA: on a machine with an NVIDIA GPU, "
            'pip uninstall onnxruntime, then pip install "sr-toolkit[gpu]"'
        )
    major = getattr(ort, "cuda_version", "").partition(".")[0]  # not every build says
    package = f"onnxruntime-gpu {ort.__version__}"
    if reason := driver.missing(package, cuda=int(major) if major else None):
        return reason
    if library := _missing_library():
        return (
            f"onnxruntime needs {library}, which is not installed: "
            'pip install "onnxruntime-gpu[cuda,cudnn]"'
        )
    return None


def cuda_providers(ordinal: int, *, fp32: bool, memory: int, graph: bool) -> list[Provider]:
    """The CUDA provider on a GPU.

    Args:
        fp32: The model's weights are FP32.
        memory: Limit in bytes for weights and activations.
        graph: Record the kernels of the first run as a CUDA graph, and launch that from then on.
            Only for models of one shape, all of whose nodes run on CUDA.
    """
    options: dict[str, object] = {
        # The default doubles the arena each time, and fails when a GPU is only half full.
        "arena_extend_strategy": "kSameAsRequested",
        # Since ONNX Runtime 1.20 EXHAUSTIVE measures nothing. It asks the slower of two predictors,
        # for every convolution and change of shape (microsoft/onnxruntime#22705), and its kernels
        # were a tenth slower with RRDB-23 on an H200.
        "cudnn_conv_algo_search": "HEURISTIC",
        "cudnn_conv_use_max_workspace": 1,
        # With 1, cuDNN fuses a convolution and its bias: RRDB-23 was a fifth faster on an H200. But
        # it prepares a network of 65 convolutions for seconds, anew for each shape, and prints why
        # it cannot use most of its kernels.
        "fuse_conv_bias": 0,
        # NHWC is the layout of tensor cores. For an fp32 model cuDNN may have only kernels that use
        # TF32 in it, and ONNX Runtime takes those even where `use_tf32` is 0.
        "prefer_nhwc": int(not fp32),
        # TF32 rounds to the 10 bits of fp16, so an fp32 model must not use it. For an fp16 model
        # the same switch would turn the tensor cores off.
        "use_tf32": int(not fp32),
        "enable_cuda_graph": int(graph),
        "gpu_mem_limit": memory,
    }
    # ONNX Runtime 1.26 and later warn in every session that is told its GPU; they begin with 0.
    if ordinal:
        options["device_id"] = ordinal
    return [("CUDAExecutionProvider", options), ("CPUExecutionProvider", {})]


def shrinking(ordinal: int) -> ort.RunOptions:
    """Options of a run at whose end a GPU's arena gives back all memory that is not in use."""
    options = ort.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", f"gpu:{ordinal}")
    return options


def _missing_library() -> str | None:
    """Load CUDA's libraries from NVIDIA's packages or the system; return the first one missing."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):  # it prints what is missing
        ort.preload_dlls()
    # It prints a name without a folder only if the second try, the system's search, failed too.
    if found := re.search(r"^Failed to load ([^/\\:\s]+):", printed.getvalue(), re.MULTILINE):
        return found[1]
    try:
        ctypes.CDLL(CUDNN)  # newer versions load it only for the first convolution
    except OSError:
        return CUDNN
    return None
