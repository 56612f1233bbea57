"""From an FP16 ONNX file to a TensorRT plan, the same way in TensorRT 10 and 11.

Imported late: it needs TensorRT's builder, which the lean runtime does not have.
"""

from collections.abc import Callable
from pathlib import Path

from sr_runtime.backends.engine_file import EngineInfo
from sr_runtime.backends.engine_options import BuildOptions, Profile, Shape

__all__ = ["BuildOptions", "Profile", "Shape", "build_engine"]

Progress = Callable[[str, int, int], None]


def build_engine(
    model: Path,
    options: BuildOptions,
    *,
    device: str = "cuda:0",
    timing_cache: Path | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[bytes, EngineInfo]:
    """Build a strongly typed FP16 plan, load it once, and check the precision of its convolutions.

    Takes minutes. Ctrl-C cancels at the builder's next step and is then raised as usual.

    Args:
        model: An ONNX file of ours that was exported with `--precision fp16`.
        device: The GPU that it is tuned on and for.
        timing_cache: Measurements of earlier builds, read where the file is there and added to.
        progress: Called with a phase of the build, the steps of it that are done, and how many it
            has; from another thread, and for several phases at a time, which nest.
        cancelled: Asked at every step; once it says True the build ends with a BackendError.

    Returns:
        The plan, and its facts as `write_engine` takes them.

    Raises:
        ModelError: The file is none of ours, stores FP32 weights, or TensorRT cannot take it; the
            message has the export command.
        BackendError: TensorRT or a CUDA device is missing, the build failed or was cancelled, or a
            convolution did not come out in FP16.
        OutOfMemoryError: The GPU has too little memory for the profile's largest shape.
    """
    raise NotImplementedError
