"""From a checkpoint or an ONNX file to a verified engine."""

import os
import tempfile
from contextlib import closing
from pathlib import Path

from sr_export.export import export_onnx
from sr_export.report import EngineReport
from sr_export.stages import BuildFraction, Progress, Stages
from sr_runtime.backends.cuda.driver import device_names, open_device
from sr_runtime.backends.onnx_metadata import read_fp16_onnx
from sr_runtime.backends.out_of_memory import memory_for_network
from sr_runtime.backends.tensorrt.build import build_engine as plan_from_onnx
from sr_runtime.backends.tensorrt.build import options_for
from sr_runtime.backends.tensorrt.engine_file import facts_path, only_writer_in, write_engine
from sr_runtime.backends.tensorrt.library import builder_library
from sr_runtime.backends.tensorrt.options import (
    DEFAULT_LEVEL,
    DEFAULT_PROFILE,
    BuildOptions,
    HardwareCompatible,
    Kind,
    Profile,
    Shape,
    cards_text,
)
from sr_runtime.embedded import model_file
from sr_runtime.errors import ArgumentError, BackendError, about, require_extra
from sr_runtime.model_info import IO, ModelInfo
from sr_runtime.storage.atomic import check_target
from sr_runtime.storage.temporary import temporary_folder

__all__ = ["build_engine"]

ANY_SIZE = ", or export it without --tile-size, if that gives a file for any size"


@memory_for_network("build the engine")
def build_engine(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    kind: Kind = "tensorrt",
    compute_capabilities: tuple[str, ...] = (),
    profile: Profile = DEFAULT_PROFILE,
    io: IO | None = None,
    scale: int | None = None,
    activation: str | None = None,
    level: int = DEFAULT_LEVEL,
    workspace: int | None = None,
    timing_cache: str | os.PathLike[str] | None = None,
    version_compatible: bool = False,
    hardware_compatible: HardwareCompatible = "none",
    device: str | None = None,
    progress: Progress | None = None,
) -> EngineReport:
    """Build an FP16 engine and verify it; the engine's facts are written beside it in JSON.

    With TensorRT it is built on and for a GPU of this machine, within minutes. With TensorRT for
    RTX it is built within seconds on any machine, for the cards of `compute_capabilities`, which
    compile it when they load it. Without such a card here the engine itself is not run: the graph
    is verified in true half precision, and the report says so.

    Keep `OUTPUT` and `OUTPUT.json` together. Ctrl-C cancels. If the build fails, both are left as
    they were.

    Args:
        model: An ONNX file that `export_onnx` wrote with precision "fp16", the name of one ("psnr",
            for instance), or any trainer's `.pth` or `.safetensors` file.
        output: The engine to write; its name ends in `.engine` or `.plan`.
        kind: The library that runs it: "tensorrt" or "tensorrt-rtx".
        compute_capabilities: Only for TensorRT for RTX: the GPUs, `("8.6", "8.9")` for instance,
            or `("all",)`. By default 8.0 and newer: an engine is one program for all of its GPUs,
            and with 7.5 among them the newer ones run what was made for 7.5.
        profile: Smallest, optimal and largest shape of a batch of tiles, halo included:
            `Profile.parse("1x64x64", "4x256x256", "4x512x512")`, which is the default.
        io: "float32" (default) or "uint8", as for `export_onnx`; only for a checkpoint, since an
            ONNX file has its own.
        scale: As for `export_onnx`; only for a checkpoint.
        activation: As for `export_onnx`; only for a checkpoint.
        level: How long TensorRT searches for fast kernels, 0 to 5. Only for TensorRT, like
            `timing_cache`, `version_compatible` and `hardware_compatible`.
        workspace: Most bytes of GPU memory for a layer's scratch space; None: no limit.
        timing_cache: File with the measurements of earlier builds, which is read and added to, so
            that the next build is faster; it need not exist yet.
        version_compatible: Build an engine that later versions of TensorRT can run, and
            TensorRT's lean runtime.
        hardware_compatible: GPUs that can run it. "none": this model of GPU; "same": this compute
            capability; "ampere+": compute capability 8.0 and newer.
        device: The GPU that TensorRT builds on and for, by default "cuda:0". TensorRT for RTX only
            verifies the engine there, by default on the first GPU that can run it.
        progress: Called with the name of a stage and the share of it that is done, 0.0 to 1.0;
            from another thread while the library builds. What it raises ends the build.

    Raises:
        ArgumentError: An argument is outside what is described above, the library lacks the
            option, or the model does not take the profile's shapes.
        ModelError: The file is not what `model` describes, or the library cannot take it.
        VerificationError: Half precision is not enough for this network, or the engine does not
            compute what fp32 does.
        BackendError: The library or the GPU is missing, or the build failed.
        OutOfMemoryError: There is too little memory, for the profile's largest shape for instance.
        StorageError: `output` or `timing_cache` cannot be written.
    """
    source, output = model_file(model), Path(output)
    timings = None if timing_cache is None else Path(timing_cache)
    options = BuildOptions(
        kind=kind,
        compute_capabilities=compute_capabilities,
        profile=profile,
        workspace=workspace,
        level=level,
        version_compatible=version_compatible,
        hardware_compatible=hardware_compatible,
    )
    _check_files(source, output, timings, kind)
    from_onnx = source.suffix.lower() == ".onnx"
    if from_onnx and (io, scale, activation) != (None, None, None):
        raise ArgumentError(
            "an ONNX file has its own io, scale and activation: leave --io, --scale and "
            "--activation out, or give the checkpoint",
            path=source,
        )
    with require_extra("export"):
        from sr_export.parity import (
            engine_checks,
            fp32_outputs,
            half_graph_checks,
            profile_crops,
            require,
        )
        from sr_train.checkpoint import load_any_generator

    stages = Stages(progress)
    with temporary_folder(Path(tempfile.gettempdir())) as folder:
        with stages.stage("checking the model"):
            if from_onnx:
                info = read_fp16_onnx(source)[1]
                with about(source):
                    _check_profile(profile, info, source, or_else=ANY_SIZE)
            else:
                generator = load_any_generator(source, scale=scale, activation=activation)
                profile.check_fits(
                    multiple_of=generator.multiple_of,
                    scale=generator.scale_factor,
                    channels=generator.out_channels,
                )
            # Before minutes of work: BackendError if the library or the GPU is missing.
            options = options_for(builder_library(kind), options)
            gpu, not_run = _gpu_for(options, "cuda:0" if device == "cuda" else device)
        if from_onnx:
            with stages.stage("computing in half"):
                checks = require(half_graph_checks(source, info), path=source)
        else:
            file = folder.path / f"{source.stem}.onnx"
            checkpoint = source
            with about(checkpoint, instead_of=file):
                exported = export_onnx(
                    checkpoint,
                    file,
                    precision="fp16",
                    io=io or "float32",
                    scale=scale,
                    activation=activation,
                    progress=progress,
                )
            source, checks = file, exported.checks
            stages.seconds |= exported.seconds
            info = read_fp16_onnx(file)[1]
            with about(checkpoint):
                _check_profile(profile, info, file)
        if gpu is not None:
            pixels = profile_crops(profile, info)
            with stages.stage("computing in fp32"):
                wanted = fp32_outputs(source, pixels)
        with stages.stage("building the engine") as report_share:
            fraction = BuildFraction(report_share)
            plan, engine = plan_from_onnx(
                source,
                options,
                device=gpu or "cuda:0",
                timing_cache=timings,
                progress=fraction,
            )
    if gpu is not None:
        with stages.stage("verifying the engine"):
            ran = engine_checks(plan, engine, pixels, wanted, device=gpu, output=output)
            checks = require([*checks, *ran])
    with only_writer_in(output.parent):
        write_engine(output, plan, engine)
    return EngineReport(
        output=output,
        bytes=len(plan),
        info=engine,
        checks=checks,
        not_run=not_run,
        seconds=stages.seconds,
    )


def _check_profile(profile: Profile, info: ModelInfo, file: Path, *, or_else: str = "") -> None:
    """Raise ArgumentError if the file does not take the shapes; `or_else` ends its advice."""
    from sr_export.onnx_file import load_onnx

    profile.check_fits(
        multiple_of=info.multiple_of,
        halo=info.halo,
        phase=info.phase,
        scale=info.scale,
        channels=info.out_channels,
    )
    dimensions = load_onnx(file).graph.input[0].type.tensor_type.shape.dim
    declared = [dimension.dim_value or None for dimension in dimensions]
    only = (declared[0], *info.only_size(declared))
    fitting = Profile(
        *(
            Shape(*(size or asked for size, asked in zip(only, shape, strict=True)))
            for shape in (profile.min, profile.opt, profile.max)
        )
    )
    if fitting != profile:
        raise ArgumentError(f"the model does not take {profile}: give {fitting}{or_else}")


def _check_files(source: Path, output: Path, timings: Path | None, kind: Kind) -> None:
    """Raise ArgumentError if a file has the wrong name, or cannot be written where it should be."""
    if output.suffix.lower() not in (".engine", ".plan"):
        raise ArgumentError("the name of an engine ends in .engine or .plan", path=output)
    check_target(output, inputs=[source])
    check_target(facts_path(output))
    if timings is None:
        return
    if kind == "tensorrt-rtx":
        raise ArgumentError(
            "TensorRT for RTX measures no kernels while it builds: leave --timing-cache out"
        )
    check_target(timings, inputs=[source])
    if timings.resolve() in (output.resolve(), facts_path(output).resolve()):
        raise ArgumentError(
            "the timing cache would overwrite the engine: give --timing-cache another file",
            path=timings,
        )


def _gpu_for(options: BuildOptions, device: str | None) -> tuple[str | None, str | None]:
    """The GPU that runs the engine here, or None and why there is none.

    Raises:
        BackendError: `device` is not there, or TensorRT, which cannot build without one, has none.
        ArgumentError: `device` cannot run the engine.
    """
    if options.kind == "tensorrt":
        device = device or "cuda:0"
        open_device(device).close()
        return device, None
    try:
        candidates = device_names() if device is None else (device,)
    except BackendError as error:
        return None, str(error)
    here = []
    for name in candidates:
        with closing(open_device(name)) as gpu:
            if gpu.compute_capability in options.compute_capabilities:
                return name, None
            here.append(f"{name} is {gpu.name} ({gpu.compute_capability})")
    why = f"{', '.join(here)}, and it is built for {cards_text(options.compute_capabilities)}"
    if device is not None:
        raise ArgumentError(f"the engine cannot be verified on {device}: {why}")
    return None, why
