"""From a checkpoint to a verified ONNX file, and the comparison of the two."""

import os
from pathlib import Path
from typing import get_args

from sr_export.report import DEFAULT_OPSET, OPSETS, Check, ExportReport, Precision
from sr_export.stages import Progress, Stages
from sr_runtime.backends.choice import is_engine
from sr_runtime.backends.out_of_memory import memory_for_network
from sr_runtime.embedded import model_file
from sr_runtime.errors import ArgumentError, ModelError, about, require_extra
from sr_runtime.file_kinds import refuse_other_kinds
from sr_runtime.model_info import IO
from sr_runtime.storage.atomic import atomic_path, check_target

__all__ = ["export_onnx", "verify"]


@memory_for_network("export the model")
def export_onnx(
    checkpoint: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    precision: Precision = "fp32",
    io: IO = "float32",
    scale: int | None = None,
    activation: str | None = None,
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
        activation: "relu" or "leakyrelu"; needed only for an SRVGGNetCompact without PReLU, whose
            file does not name its activation.
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
        OutOfMemoryError: There is too little memory.
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
        from sr_export.photos import CALIBRATION, calibration_images, in_channels
        from sr_export.to_onnx import onnx_from_generator, require_size
        from sr_train.checkpoint import load_generator

    images = calibration_images(CALIBRATION if calibration is None else Path(calibration))
    stages = Stages(progress)
    with stages.stage("loading the checkpoint"):
        generator = load_generator(checkpoint, scale=scale, activation=activation)
        with about(checkpoint):
            require_size(generator, precision)
    with stages.stage("searching the halo") as report_share:
        images = [in_channels(image, generator.in_channels) for image in images]
        halo = calibrate_halo(generator, images, progress=report_share)
    with stages.stage("exporting to ONNX"):
        model = onnx_from_generator(generator, precision=precision, io=io, opset=opset, halo=halo)
        content = model.SerializeToString(deterministic=True)
    with atomic_path(output) as temporary, stages.stage("verifying the file"):
        temporary.write_bytes(content)
        with about(output, instead_of=temporary):
            checks = require(compare(generator, temporary))
    return ExportReport(
        output=output,
        bytes=len(content),
        arch=generator.arch,
        scale=generator.scale_factor,
        parameters=sum(weights.numel() for weights in generator.parameters()),
        halo=halo,
        receptive_radius=generator.receptive_radius,
        checks=checks,
        seconds=stages.seconds,
    )


@memory_for_network("verify the model")
def verify(
    checkpoint: str | os.PathLike[str],
    model: str | os.PathLike[str],
    *,
    scale: int | None = None,
    activation: str | None = None,
    backend: str = "auto",
) -> tuple[Check, ...]:
    """Compare an ONNX file with the checkpoint from which it was exported, on real pixels.

    Args:
        checkpoint: Any trainer's `.pth` or `.safetensors` file.
        model: The ONNX file, or the name of one: "psnr", for instance.
        scale: As for `export_onnx`.
        activation: As for `export_onnx`.
        backend: The inference engine that runs the model, on the CPU: "openvino", "onnxruntime",
            or "auto", the faster one of those installed.

    Returns:
        Every measured value with its limit; all of them passed.

    Raises:
        ModelError: One of the files is not what it should be, or they hold different networks.
        VerificationError: The model does not compute what the checkpoint does; its `checks` are
            all that was measured.
        BackendError: torch or the inference engine is missing.
        OutOfMemoryError: There is too little memory.
    """
    with require_extra("export"):
        from sr_export.parity import compare, require
        from sr_train.checkpoint import load_generator

    file = model_file(model)
    if is_engine(file):
        raise ModelError("this is an engine, and verify compares ONNX files", path=file)
    refuse_other_kinds(file)
    generator = load_generator(checkpoint, scale=scale, activation=activation)
    return require(compare(generator, file, backend=backend), path=file)
