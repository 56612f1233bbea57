"""From an FP16 ONNX file to a TensorRT plan, the same way in TensorRT 10 and 11.

Imported late: it needs TensorRT's builder, which the lean runtime does not have.
"""

import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sr_runtime.atomic import atomic_path, check_target
from sr_runtime.backends.cuda.driver import open_device
from sr_runtime.backends.onnx_metadata import EXPORT_FP16, read_fp16_onnx
from sr_runtime.backends.tensorrt.engine_file import EngineInfo, sha256
from sr_runtime.backends.tensorrt.options import (
    BuildOptions,
    HardwareCompatible,
    Profile,
    tensor_shape,
)
from sr_runtime.errors import (
    ArgumentError,
    BackendError,
    ModelError,
    OutOfMemoryError,
    SRError,
    StorageError,
)
from sr_runtime.model_info import ModelInfo

try:
    from sr_runtime.backends.tensorrt.library import LEAN, Log, trt
    from sr_runtime.backends.tensorrt.monitor import Monitor, Progress, in_thread
except ModuleNotFoundError as error:
    raise BackendError(
        f'{error.name} is not installed: pip install "sr-toolkit[tensorrt]"'
    ) from error
except ImportError as error:
    raise BackendError(str(error)) from error
if LEAN:
    raise BackendError(
        "tensorrt_lean runs engines and builds none: pip install tensorrt, or build the engine "
        "with --version-compatible on a machine that has it"
    )

__all__ = ["build_engine"]

HARDWARE: dict[HardwareCompatible, trt.HardwareCompatibilityLevel] = {
    "none": trt.HardwareCompatibilityLevel.NONE,
    "ampere+": trt.HardwareCompatibilityLevel.AMPERE_PLUS,
    "same": trt.HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY,
}


def build_engine(
    model: Path,
    options: BuildOptions,
    *,
    device: str = "cuda:0",
    timing_cache: Path | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> tuple[bytes, EngineInfo]:
    """Build a strongly typed FP16 plan, and load it once to see that it can be loaded.

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
        ArgumentError: The model does not take the profile's shapes, or the timing cache is of
            another GPU or no such file.
        ModelError: The file is none of ours, stores FP32 weights, or TensorRT cannot take it; the
            message has the export command.
        BackendError: On import of this module where TensorRT or CUDA is missing; else there is no
            such device, or the build failed or was cancelled.
        OutOfMemoryError: The GPU has too little memory for the profile's largest shape.
    """
    data, facts = read_fp16_onnx(model)
    options.profile.check_fits(multiple_of=facts.multiple_of, halo=facts.halo)
    if timing_cache is not None:
        check_target(timing_cache)
    gpu = open_device(device)
    monitor = Monitor(progress, cancelled)
    try:

        def build() -> bytes:
            with gpu.current():
                try:
                    return _plan(model, data, facts, options, monitor, timing_cache)
                except BaseException as error:
                    # It holds the builder, which must go before the GPU's context does.
                    traceback.clear_frames(error.__traceback__)
                    raise

        plan = in_thread(build, monitor)
        info = EngineInfo(
            model=facts,
            profile=options.profile,
            workspace=options.workspace,
            level=options.level,
            tensorrt=trt.__version__,
            gpu=gpu.name,
            compute_capability=gpu.compute_capability,
            version_compatible=options.version_compatible,
            hardware_compatible=options.hardware_compatible,
            onnx_sha256=sha256(data),
            plan_sha256=sha256(plan),
        )
    finally:
        gpu.close()
    return plan, info


def _plan(
    model: Path,
    data: bytes,
    facts: ModelInfo,
    options: BuildOptions,
    monitor: Monitor,
    timing_cache: Path | None,
) -> bytes:
    """Parse, build and load, on the current device."""
    log = Log()
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(data):
        raise ModelError(f"{model}: TensorRT cannot take it ({_parser_errors(parser)})")
    _check_types(network, model)
    config = builder.create_builder_config()
    config.add_optimization_profile(_profile(builder, network, facts, options.profile))
    if options.workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace)
    config.builder_optimization_level = options.level
    config.hardware_compatibility_level = HARDWARE[options.hardware_compatible]
    config.progress_monitor = monitor
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if timing_cache is not None:
        _load_timings(config, timing_cache)
    serialized: Any = builder.build_serialized_network(network, config)
    monitor.check()
    if serialized is None:
        raise _failure(f"{model}: TensorRT could not build the engine", log, options)
    plan = bytes(serialized)
    log.clear()
    _check_loads(plan, options, log)
    if timing_cache is not None:
        _save_timings(config, timing_cache)
    return plan


def _profile(
    builder: trt.Builder, network: trt.INetworkDefinition, facts: ModelInfo, profile: Profile
) -> trt.IOptimizationProfile:
    """The shapes as the model's input has them."""
    if network.num_inputs != 1:
        raise ModelError(
            f"no super-resolution model: it has {network.num_inputs} inputs, expected 1"
        )
    shapes = (profile.min, profile.opt, profile.max)
    result = builder.create_optimization_profile()
    result.set_shape(
        network.get_input(0).name, *(trt.Dims(tensor_shape(shape, facts)) for shape in shapes)
    )
    return result


def _check_types(network: trt.INetworkDefinition, model: Path) -> None:
    """Raise ModelError for a convolution that the graph has in another type than FP16.

    The network is strongly typed: what the graph says is what TensorRT builds, minutes later.
    """
    for layer in (network.get_layer(index) for index in range(network.num_layers)):
        if layer.type != trt.LayerType.CONVOLUTION:
            continue
        dtype = layer.get_input(0).dtype
        if dtype != trt.DataType.HALF:
            raise ModelError(
                f"{model}: its convolution {layer.name} computes in {dtype.name} and not in FP16: "
                f"export it again: {EXPORT_FP16}"
            )


def _parser_errors(parser: trt.OnnxParser) -> str:
    errors: list[Any] = [parser.get_error(index) for index in range(parser.num_errors)]
    return (
        "; ".join(
            f"{error.desc()}" + (f" at {error.node_name()}" if error.node_name() else "")
            for error in errors
        ).replace("\n", " ")
        or "it does not say why"
    )


def _load_timings(config: trt.IBuilderConfig, path: Path) -> None:
    """Give the builder the measurements of the file, if there are any yet."""
    # The signatures do not know that it is None where the file is no timing cache.
    cache: trt.ITimingCache | None = config.create_timing_cache(_read(path))
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        raise ArgumentError(
            f"{path}: no measurements of TensorRT {trt.__version__} on this GPU: name another "
            "file, or delete this one"
        )


def _save_timings(config: trt.IBuilderConfig, path: Path) -> None:
    """Write the measurements, with those that another build may have added meanwhile."""
    cache = config.get_timing_cache()
    others = config.create_timing_cache(_read(path))
    if others is not None:
        cache.combine(others, ignore_mismatch=False)
    timings: Any = cache.serialize()
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(bytes(timings))
    except StorageError as error:  # no reason to throw away minutes of building
        warnings.warn(f"the timing cache is not kept: {error}", RuntimeWarning, stacklevel=2)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _check_loads(plan: bytes, options: BuildOptions, log: Log) -> None:
    """Raise BackendError or OutOfMemoryError unless TensorRT can load the plan that it built."""
    runtime = trt.Runtime(log)
    runtime.engine_host_code_allowed = options.version_compatible  # the plan is our own
    if runtime.deserialize_cuda_engine(plan) is None:
        raise _failure("TensorRT cannot load the engine that it built", log, options)


def _failure(what: str, log: Log, options: BuildOptions) -> SRError:
    smaller = f"take a smaller --max than {options.profile.max}"
    if log.out_of_memory:
        return OutOfMemoryError(
            f"{what}, the GPU has too little memory ({log.last_error}): {smaller}, or give a "
            "--workspace"
        )
    if "volume" in log.last_error:  # of a tensor, beyond what TensorRT can count
        return BackendError(f"{what} ({log.last_error}): {smaller}")
    return BackendError(f"{what} ({log.last_error})")
