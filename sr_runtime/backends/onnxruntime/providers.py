"""ONNX Runtime's providers on a GPU: what they need, and how they are set."""

import contextlib
import ctypes
import functools
import io
import re
import sys

from sr_runtime.backends.cuda import driver
from sr_runtime.backends.onnxruntime.session import Provider, ort

__all__ = ["cuda_missing", "cuda_providers"]

CUDNN = "cudnn64_9.dll" if sys.platform == "win32" else "libcudnn.so.9"


@functools.cache
def cuda_missing() -> str | None:
    """Why the CUDA provider does not work here, in one sentence; None if it should."""
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return (
            "the installed onnxruntime is the one without CUDA: on a machine with an NVIDIA GPU, "
            'pip uninstall onnxruntime, then pip install "sr-toolkit[gpu]"'
        )
    if reason := driver.missing():
        return reason
    if library := _missing_library():
        return (
            f"onnxruntime needs {library}, which is not to be found: "
            'pip install "onnxruntime-gpu[cuda,cudnn]"'
        )
    return None


def cuda_providers(
    ordinal: int, *, fp32: bool, memory: int | None = None, graph: bool = False
) -> list[Provider]:
    """The CUDA provider on a GPU.

    Args:
        fp32: The model's weights are in it.
        memory: The most bytes for weights and what is computed with them; None: all there are.
        graph: Record the kernels of the first run, and launch them as one from then on. For models
            of one shape, all of whose nodes CUDA can compute.
    """
    options: dict[str, object] = {
        "device_id": ordinal,
        # The default doubles what it has, and fails while a GPU is but half full.
        "arena_extend_strategy": "kSameAsRequested",
        # Since ONNX Runtime 1.20 EXHAUSTIVE measures nothing: it asks the slower of two predictors,
        # for every convolution and change of shape (microsoft/onnxruntime#22705), and others found
        # nothing gained by it (PaddlePaddle/PaddleX#5057). Where the shape never changes it may.
        "cudnn_conv_algo_search": "EXHAUSTIVE" if graph else "HEURISTIC",
        "cudnn_conv_use_max_workspace": 1,
        "prefer_nhwc": 1,  # the layout of tensor cores
        # What is called fp32 is to be fp32: TF32 rounds to the 10 bits of fp16. But of a model in
        # FP16 the same switch would take the tensor cores away.
        "use_tf32": int(not fp32),
        "enable_cuda_graph": int(graph),
    }
    if memory is not None:
        options["gpu_mem_limit"] = memory
    return [("CUDAExecutionProvider", options), ("CPUExecutionProvider", {})]


def _missing_library() -> str | None:
    """Load CUDA's libraries, from nvidia's packages or the system; the first one missing."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # it prints what is missing
        ort.preload_dlls()
    # Named without a folder only after the second try, by the system's own search.
    if found := re.search(r"^Failed to load ([^/\\:\s]+):", said.getvalue(), re.MULTILINE):
        return found[1]
    try:
        ctypes.CDLL(CUDNN)  # which newer versions load with the first convolution
    except OSError:
        return CUDNN
    return None
