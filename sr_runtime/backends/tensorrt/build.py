"""Builds a TensorRT plan from an FP16 ONNX file, in the same way with every library.

TensorRT 10 and 11 time kernels on a GPU, for minutes; TensorRT for RTX needs no GPU, and seconds.
"""

import traceback
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_runtime.backends.cuda.driver import open_device
from sr_runtime.backends.onnx_metadata import EXPORT_FP16, read_fp16_onnx
from sr_runtime.backends.tensorrt.engine_file import EngineInfo, sha256
from sr_runtime.backends.tensorrt.library import Library, Log, builder_library, without_driver_noise
from sr_runtime.backends.tensorrt.monitor import Monitor, Progress, in_thread
from sr_runtime.backends.tensorrt.options import (
    BuildOptions,
    HardwareCompatible,
    Profile,
    sm_text,
    tensor_shape,
)
from sr_runtime.backends.tensorrt.timing_cache import load_timings, save_timings
from sr_runtime.errors import (
    ArgumentError,
    BackendError,
    ModelError,
    OutOfMemoryError,
    SRError,
    about,
)
from sr_runtime.model_info import ModelInfo
from sr_runtime.storage.atomic import check_target

if TYPE_CHECKING:
    import tensorrt as trt

__all__ = ["build_engine", "options_for"]

HARDWARE: dict[HardwareCompatible, str] = {
    "none": "NONE",
    "ampere+": "AMPERE_PLUS",
    "same": "SAME_COMPUTE_CAPABILITY",
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
    """Build a strongly typed FP16 plan. TensorRT also loads it once, as a check.

    Ctrl-C cancels it at the builder's next step, and is then raised as usual.

    Args:
        model: An ONNX file of ours, exported with `--precision fp16`.
        device: The GPU to tune it on and for; TensorRT for RTX needs none.
        timing_cache: A file of measurements of earlier builds: read if it exists, and added to.
            Only for TensorRT; TensorRT for RTX measures nothing.
        progress: Called with a phase of the build, the number of its steps that are done, and the
            number that it has. The calls come from another thread, and phases nest.
        cancelled: Asked at every step; if it returns True the build ends with a BackendError.

    Returns:
        The plan, and its facts for `write_engine`.

    Raises:
        ArgumentError: The model does not take the profile's shapes, the library does not build for
            a compute capability, or the timing cache is for another GPU or another kind of file.
        ModelError: The file is not one of ours, stores FP32 weights, or TensorRT cannot parse it;
            the message has the export command.
        BackendError: The library or the device is missing, or the build failed or was cancelled.
        OutOfMemoryError: The GPU has too little memory for the profile's largest shape.
    """
    data, facts = read_fp16_onnx(model)
    options.profile.check_fits(
        multiple_of=facts.multiple_of,
        halo=facts.halo,
        phase=facts.phase,
        scale=facts.scale,
        channels=facts.out_channels,
    )
    library = builder_library(options.kind)
    options = options_for(library, options)
    if timing_cache is not None:
        assert options.kind == "tensorrt"
        check_target(timing_cache)
    monitor = Monitor(progress, cancelled)
    gpu = None if options.kind == "tensorrt-rtx" else open_device(device)
    with ExitStack() as held:
        if gpu is not None:
            held.callback(gpu.close)

        def build() -> bytes:
            with nullcontext() if gpu is None else gpu.current(), about(model):
                try:
                    return _plan(library, data, facts, options, monitor, timing_cache)
                except BaseException as error:
                    # Its frames hold the builder, which must be freed before the GPU's context.
                    traceback.clear_frames(error.__traceback__)
                    raise

        plan = in_thread(build, monitor)
        info = EngineInfo(
            **vars(options),
            model=facts,
            tensorrt=library.version,
            gpu=gpu.name if gpu else None,
            compute_capability=gpu.compute_capability if gpu else None,
            onnx_sha256=sha256(data),
            plan_sha256=sha256(plan),
        )
    return plan, info


def options_for(library: Library, options: BuildOptions) -> BuildOptions:
    """The options with each compute capability named; ArgumentError for one it does not know."""
    known, wanted = library.compute_capabilities, options.compute_capabilities
    if wanted == ("all",):
        wanted = known
    if unknown := [one for one in wanted if one not in known]:
        raise ArgumentError(
            f"--sm {sm_text(unknown)}: {library.name} builds for {sm_text(known)}; for other GPUs, "
            "H100, H200 and B200 among them, build on the GPU with --for tensorrt, or run the ONNX "
            "file with backend onnxruntime"
        )
    if not wanted:
        wanted = tuple(one for one in known if float(one) >= 8)
    # In one order and each once, because the plan depends on both.
    return replace(options, compute_capabilities=tuple(one for one in known if one in wanted))


def _plan(
    library: Library,
    data: bytes,
    facts: ModelInfo,
    options: BuildOptions,
    monitor: Monitor,
    timing_cache: Path | None,
) -> bytes:
    """Parse, build and load, on the current device."""
    api = library.trt
    log = Log(library)
    builder = api.Builder(log.logger)
    network = builder.create_network(1 << int(api.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = api.OnnxParser(network, log.logger)
    if not parser.parse(data):
        raise ModelError(f"{library.name} cannot parse it ({_parser_errors(parser)})")
    _check_types(library, network, facts)
    config = builder.create_builder_config()
    config.add_optimization_profile(_profile(library, builder, network, facts, options.profile))
    if options.workspace is not None:
        config.set_memory_pool_limit(api.MemoryPoolType.WORKSPACE, options.workspace)
    # Scratch memory for the shape in use, and not always for the largest; since 10.10.
    if feature := getattr(api.PreviewFeature, "RUNTIME_ACTIVATION_RESIZE_10_10", None):
        config.set_preview_feature(feature, True)
    listener = monitor.listener(library)
    config.progress_monitor = listener
    if options.kind == "tensorrt-rtx":
        _set_compute_capabilities(library, config, options.compute_capabilities)
    else:
        config.builder_optimization_level = options.level
        config.hardware_compatibility_level = getattr(
            api.HardwareCompatibilityLevel, HARDWARE[options.hardware_compatible]
        )
        if options.version_compatible:
            config.set_flag(api.BuilderFlag.VERSION_COMPATIBLE)
    if timing_cache is not None:
        load_timings(library, config, timing_cache)
    serialized: Any = builder.build_serialized_network(network, config)
    monitor.check()
    if serialized is None:
        raise _failure(f"{library.name} could not build the engine", log, options)
    plan = bytes(serialized)
    if options.kind == "tensorrt-rtx":  # loading it needs a GPU
        return plan
    log.clear()
    runtime = api.Runtime(log.logger)
    runtime.engine_host_code_allowed = options.version_compatible  # the plan is our own
    if runtime.deserialize_cuda_engine(plan) is None:
        raise _failure(f"{library.name} cannot load the engine that it built", log, options)
    if timing_cache is not None:
        save_timings(config, timing_cache)
    return plan


def _set_compute_capabilities(
    library: Library, config: Any, compute_capabilities: tuple[str, ...]
) -> None:
    """Name the GPUs to build for."""
    config.num_compute_capabilities = len(compute_capabilities)
    for index, one in enumerate(compute_capabilities):
        name = f"SM{sm_text([one])}"
        config.set_compute_capability(getattr(library.trt.ComputeCapability, name), index)


def _profile(
    library: Library,
    builder: "trt.Builder",
    network: "trt.INetworkDefinition",
    facts: ModelInfo,
    profile: Profile,
) -> "trt.IOptimizationProfile":
    """The profile in the layout of the model's input."""
    shapes = (profile.min, profile.opt, profile.max)
    result = builder.create_optimization_profile()
    result.set_shape(
        network.get_input(0).name,
        *(library.trt.Dims(tensor_shape(shape, facts)) for shape in shapes),
    )
    return result


def _check_types(library: Library, network: "trt.INetworkDefinition", facts: ModelInfo) -> None:
    """Raise ModelError for a convolution that is not FP16, or an input or output of another type.

    The network is strongly typed: TensorRT builds what the graph says, so a wrong type is known
    before the build.
    """
    types = library.trt.DataType
    for layer in (network.get_layer(index) for index in range(network.num_layers)):
        if layer.type != library.trt.LayerType.CONVOLUTION:
            continue
        if (dtype := layer.get_input(0).dtype) != types.HALF:
            raise ModelError(
                f"its convolution {layer.name} computes in {dtype.name} and not in FP16: export "
                f"it again: {EXPORT_FP16}"
            )
    inputs = [network.get_input(index).dtype for index in range(network.num_inputs)]
    outputs = [network.get_output(index).dtype for index in range(network.num_outputs)]
    expected = [types.FLOAT], [types.FLOAT]
    if facts.io == "uint8":
        expected = [types.UINT8], [types.UINT8, types.BOOL]
    if (inputs, outputs) != expected:
        taken, returned = (" and ".join(one.name for one in side) for side in (inputs, outputs))
        raise ModelError(
            f"it takes {taken or 'nothing'} and returns {returned or 'nothing'}, and its metadata "
            f"states io {facts.io}: export it again: {EXPORT_FP16}"
        )


def _parser_errors(parser: "trt.OnnxParser") -> str:
    errors: list[Any] = [parser.get_error(index) for index in range(parser.num_errors)]
    return (
        "; ".join(
            without_driver_noise(error.desc())
            + (f" at {error.node_name()}" if error.node_name() else "")
            for error in errors
        )
        or "it gives no reason"
    )


def _failure(what: str, log: Log, options: BuildOptions) -> SRError:
    why, smaller = log.last_error, f"take a smaller --max than {options.profile.max}"
    if log.out_of_memory:
        # The library also runs out of the workspace itself.
        workspace = "give a --workspace" if options.workspace is None else "leave --workspace out"
        return OutOfMemoryError(
            f"{what}, because there is too little memory ({why}): {smaller}, or {workspace}"
        )
    if "workspace limit" in why:
        return BackendError(f"{what} ({why}): give a larger --workspace, or leave it out")
    remedy = ""
    if "static dimensions" in why:
        remedy = ": the model takes one shape only: give it as --min, --opt and --max"
    elif "volume" in why:  # a tensor has more values than TensorRT can count
        remedy = f": {smaller}"
    return BackendError(f"{what} ({why}){remedy}")
