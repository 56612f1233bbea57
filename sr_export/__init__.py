"""Turn any ESRGAN checkpoint into a verified ONNX model or TensorRT engine.

    import sr_export

    report = sr_export.export_onnx("RRDB_ESRGAN_x4.pth", "esrgan.onnx", precision="fp16")
    print(report.halo, report.seconds)
    sr_export.build_engine("esrgan.onnx", "esrgan.engine")
    sr_export.triton_repository("esrgan.onnx", "repository", "esrgan_x4")

What is written was compared with the checkpoint in fp32 first; a model that differs is not written.
`python -m sr_export` does the same from the command line. Importing this package is quick: torch
and onnx are imported by the first call that needs them.
"""

import os
import tempfile
from pathlib import Path
from typing import get_args

from sr_export.report import (
    DEFAULT_OPSET,
    OPSETS,
    Check,
    EngineReport,
    ExportReport,
    Precision,
    TritonVersion,
    VerificationError,
)
from sr_export.stages import BuildFraction, Progress, Stages
from sr_export.triton import triton_repository
from sr_runtime.atomic import atomic_path, check_target
from sr_runtime.backends.cuda.driver import open_device
from sr_runtime.backends.onnx_metadata import read_fp16_onnx
from sr_runtime.backends.tensorrt.build import build_engine as plan_from_onnx
from sr_runtime.backends.tensorrt.engine_file import facts_path, write_engine
from sr_runtime.backends.tensorrt.library import builder_library
from sr_runtime.backends.tensorrt.options import (
    DEFAULT_LEVEL,
    DEFAULT_PROFILE,
    BuildOptions,
    HardwareCompatible,
    Profile,
)
from sr_runtime.embedded import model_file
from sr_runtime.errors import ArgumentError, about, require_extra
from sr_runtime.model_info import IO

__all__ = [
    "Check",
    "EngineReport",
    "ExportReport",
    "Profile",
    "Progress",
    "TritonVersion",
    "VerificationError",
    "build_engine",
    "export_onnx",
    "triton_repository",
    "verify",
]


def export_onnx(
    checkpoint: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    precision: Precision = "fp32",
    io: IO = "float32",
    scale: int | None = None,
    opset: int = DEFAULT_OPSET,
    calibration: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Export a checkpoint to ONNX, with its halo and other facts in the file, and verify the file.

    The same checkpoint and options give the same bytes. If the export fails, `output` is left as
    it was.

    Args:
        checkpoint: Any trainer's `.pth` or `.safetensors` file of an ESRGAN generator.
        output: The ONNX file to write; its name ends in `.onnx`.
        precision: How weights are stored. "fp16" is for GPUs, which then also compute in FP16.
        io: "float32": the model takes and returns `(N, C, H, W)` in [0, 1]. "uint8": it takes and
            returns `(N, H, W, C)`, and clamps and rounds itself.
        scale: Output side over input side; needed only for ×3 networks, whose weights look like
            those of ×2.
        opset: Version of the ONNX operator set, 18 to 25.
        calibration: Folder of images, 256×256 or larger, on which the halo is measured; None: the
            three that are shipped.
        progress: Called with the name of a stage and the share of it that is done, 0.0 to 1.0.
            What it raises ends the export.

    Raises:
        ArgumentError: An argument is outside what is described above.
        ModelError: The checkpoint holds no generator that this project knows.
        VerificationError: The file does not compute what the checkpoint does, or half precision
            is not enough for this network.
        BackendError: torch, onnx, or an inference engine for the verification is missing.
        StorageError: `output` cannot be written.
    """
    checkpoint, output = Path(checkpoint), Path(output)
    check_target(output, inputs=[checkpoint])
    if output.suffix.lower() != ".onnx":
        raise ArgumentError("the name of an ONNX file ends in .onnx", path=output)
    for what, value, allowed in (
        ("precision", precision, get_args(Precision)),
        ("io", io, get_args(IO)),
        ("opset", opset, OPSETS),
    ):
        if value not in allowed:
            raise ArgumentError(f"{what} {value} is not one of {', '.join(map(str, allowed))}")
    with require_extra("export"):
        from sr_export.halo import calibrate_halo
        from sr_export.parity import compare, require
        from sr_export.photos import CALIBRATION, calibration_images
        from sr_export.to_onnx import onnx_from_generator
        from sr_train.checkpoint import load_generator

    stages = Stages(progress)
    with stages.stage("loading the checkpoint"):
        generator = load_generator(checkpoint, scale=scale)
    with stages.stage("searching the halo") as report_share:
        folder = CALIBRATION if calibration is None else Path(calibration)
        images = calibration_images(folder, channels=generator.in_channels)
        halo = calibrate_halo(generator, images, progress=report_share)
    with stages.stage("exporting to ONNX"):
        model = onnx_from_generator(generator, precision=precision, io=io, opset=opset, halo=halo)
    with atomic_path(output) as temporary, stages.stage("verifying the file"):
        temporary.write_bytes(model.SerializeToString(deterministic=True))
        with about(output, instead_of=temporary):
            checks = require(compare(generator, temporary))
    return ExportReport(
        output=output,
        bytes=output.stat().st_size,
        arch=generator.arch,
        scale=generator.scale_factor,
        parameters=sum(weights.numel() for weights in generator.parameters()),
        halo=halo,
        receptive_radius=generator.receptive_radius,
        checks=checks,
        seconds=stages.seconds,
    )


def verify(
    checkpoint: str | os.PathLike[str],
    model: str | os.PathLike[str],
    *,
    scale: int | None = None,
    backend: str = "auto",
) -> tuple[Check, ...]:
    """Compare an ONNX file with the checkpoint from which it was exported, on real pixels.

    Args:
        checkpoint: Any trainer's `.pth` or `.safetensors` file.
        model: The ONNX file, or "esrgan" or "psnr", which the package carries.
        scale: As for `export_onnx`.
        backend: The inference engine that runs the model, on the CPU: "openvino", "onnxruntime",
            or "auto", the faster one of those installed.

    Returns:
        Every measured value with its limit; all of them passed.

    Raises:
        ModelError: One of the files is not what it should be, or they hold different networks.
        VerificationError: The model does not compute what the checkpoint does; its `checks` are
            all that was measured.
        BackendError: torch or the inference engine is missing.
    """
    with require_extra("export"):
        from sr_export.parity import compare, require
        from sr_train.checkpoint import load_generator

    file = model_file(model)
    generator = load_generator(checkpoint, scale=scale)
    return require(compare(generator, file, backend=backend), path=file)


def build_engine(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    profile: Profile = DEFAULT_PROFILE,
    io: IO | None = None,
    scale: int | None = None,
    level: int = DEFAULT_LEVEL,
    workspace: int | None = None,
    timing_cache: str | os.PathLike[str] | None = None,
    version_compatible: bool = False,
    hardware_compatible: HardwareCompatible = "none",
    device: str = "cuda:0",
    progress: Progress | None = None,
) -> EngineReport:
    """Build an FP16 TensorRT engine on and for a GPU of this machine, and verify it there.

    Takes minutes; Ctrl-C cancels. If it fails, `output` is left as it was. The engine's facts are
    written beside it, as `OUTPUT.json`: keep both files together.

    Args:
        model: An ONNX file that `export_onnx` wrote with precision "fp16", or any trainer's
            `.pth` or `.safetensors` file.
        output: The engine to write; its name ends in `.engine` or `.plan`.
        profile: Smallest, optimal and largest shape of a batch of tiles, halo included:
            `Profile.parse("1x64x64", "4x256x256", "4x512x512")`, which is the default.
        io: "float32" (default) or "uint8", as for `export_onnx`; only for a checkpoint, since an
            ONNX file has its own.
        scale: As for `export_onnx`; only for a checkpoint.
        level: How long TensorRT searches for fast kernels, 0 to 5.
        workspace: Most bytes of GPU memory for a layer's scratch space; None: no limit.
        timing_cache: File with the measurements of earlier builds, which is read and added to, so
            that the next build is faster; it need not exist yet.
        version_compatible: Build an engine that other versions of TensorRT can run, and
            TensorRT's lean runtime.
        hardware_compatible: GPUs that can run it. "none": this model of GPU; "same": this compute
            capability; "ampere+": compute capability 8.0 and newer.
        device: The GPU, "cuda:1" for instance.
        progress: Called with the name of a stage and the share of it that is done, 0.0 to 1.0;
            from another thread while TensorRT builds. What it raises ends the build.

    Raises:
        ArgumentError: An argument is outside what is described above, or the model does not take
            the profile's shapes.
        ModelError: The file is not what `model` describes, or TensorRT cannot take it.
        VerificationError: Half precision is not enough for this network, or the engine does not
            compute what fp32 does.
        BackendError: TensorRT or the GPU is missing, or the build failed.
        OutOfMemoryError: The GPU has too little memory for the profile's largest shape.
        StorageError: `output` or `timing_cache` cannot be written.
    """
    source, output = Path(model), Path(output)
    timings = None if timing_cache is None else Path(timing_cache)
    options = BuildOptions(
        profile=profile,
        workspace=workspace,
        level=level,
        version_compatible=version_compatible,
        hardware_compatible=hardware_compatible,
    )
    if output.suffix.lower() not in (".engine", ".plan"):
        raise ArgumentError("the name of an engine ends in .engine or .plan", path=output)
    check_target(output, inputs=[source])
    check_target(facts_path(output))
    if timings is not None:
        check_target(timings, inputs=[source])
        if timings.resolve() in (output.resolve(), facts_path(output).resolve()):
            raise ArgumentError(
                "the timing cache would overwrite the engine: give --timing-cache another file",
                path=timings,
            )
    from_onnx = source.suffix.lower() == ".onnx"
    if from_onnx and (io, scale) != (None, None):
        raise ArgumentError(
            "an ONNX file has its own io and scale: leave --io and --scale out, or give the "
            "checkpoint",
            path=source,
        )
    with require_extra("export"):
        from sr_export.parity import engine_checks, fp32_outputs, profile_crops, require
        from sr_train.checkpoint import load_generator

    stages = Stages(progress)
    checks: tuple[Check, ...] = ()
    with tempfile.TemporaryDirectory() as folder:
        with stages.stage("checking the model"):
            if from_onnx:
                info = read_fp16_onnx(source)[1]
                profile.check_fits(multiple_of=info.multiple_of, halo=info.halo)
            else:
                generator = load_generator(source, scale=scale)
                profile.check_fits(multiple_of=generator.multiple_of, halo=0)
            # Before minutes of work: BackendError if TensorRT or the GPU is missing.
            device = "cuda:0" if device == "cuda" else device
            builder_library(options.kind)
            open_device(device).close()
        if not from_onnx:
            file = Path(folder) / f"{source.stem}.onnx"
            exported = export_onnx(
                source, file, precision="fp16", io=io or "float32", scale=scale, progress=progress
            )
            source, checks = file, exported.checks
            stages.seconds |= exported.seconds
            info = read_fp16_onnx(file)[1]
            profile.check_fits(multiple_of=info.multiple_of, halo=info.halo)
        pixels = profile_crops(profile, info)
        with stages.stage("computing in fp32"):
            wanted = fp32_outputs(source, pixels)
        with stages.stage("building the engine") as report_share:
            fraction = BuildFraction(report_share)
            plan, engine = plan_from_onnx(
                source, options, device=device, timing_cache=timings, progress=fraction
            )
    with stages.stage("verifying the engine"):
        checks = require([*checks, *engine_checks(plan, engine, pixels, wanted, device=device)])
    write_engine(output, plan, engine)
    return EngineReport(
        output=output, bytes=len(plan), info=engine, checks=checks, seconds=stages.seconds
    )
