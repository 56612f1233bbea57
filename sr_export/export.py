"""From a checkpoint to a verified ONNX file, and the comparison of the two."""

import os
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from sr_export.report import DEFAULT_OPSET, OPSETS, Check, ExportReport, Precision
from sr_export.stages import Progress, Stages
from sr_runtime.backends.choice import is_engine
from sr_runtime.backends.out_of_memory import memory_for_network
from sr_runtime.embedded import model_file
from sr_runtime.errors import ArgumentError, BackendError, ModelError, about, require_extra
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
    tile_size: int | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Export a checkpoint to ONNX, with its halo and other facts in the file, and verify the file.

    The same checkpoint and options give the same bytes. If the export fails, `output` is left as
    it was.

    Args:
        checkpoint: Any trainer's `.pth` or `.safetensors` file of an ESRGAN generator; with the
            extra `spandrel`, of one of its super-resolution networks.
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
        tile_size: The only height and width that the file takes; None: any, or 192 where the
            network can be exported for only one size.
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
        from sr_export.parity import compare, half_checks, require
        from sr_export.photos import CALIBRATION, calibration_images, in_channels
        from sr_export.tile_facts import measure_tiles
        from sr_export.to_onnx import onnx_from_generator, require_exportable, tile_sizes
        from sr_train.checkpoint import load_any_generator

    images = calibration_images(CALIBRATION if calibration is None else Path(calibration))
    stages = Stages(progress)
    with stages.stage("loading the checkpoint"):
        generator = load_any_generator(checkpoint, scale=scale, activation=activation)
        with about(checkpoint):
            require_exportable(generator, precision, tile_size)
    half: tuple[Check, ...] = ()
    if precision == "fp16":
        with stages.stage("computing in half"), about(checkpoint):
            half = require(half_checks(generator))
    with stages.stage("searching the halo") as report_share, about(checkpoint):
        images = [in_channels(image, generator.in_channels) for image in images]
        tiles = measure_tiles(generator, images, progress=report_share)
        sizes = tile_sizes(generator, tiles, tile_size)
    for side in sizes:
        try:
            with stages.stage("exporting to ONNX"), about(checkpoint):
                model = onnx_from_generator(
                    generator, precision=precision, io=io, opset=opset, tile_size=side,
                    **asdict(tiles),
                )  # fmt: skip
                content = model.SerializeToString(deterministic=True)
            with atomic_path(output) as temporary, stages.stage("verifying the file"):
                temporary.write_bytes(content)
                with about(output, instead_of=temporary):
                    checks = require(compare(generator, temporary, half=half))
            break
        except (ModelError, BackendError) as error:  # the second where an engine refuses a size
            if side == sizes[-1]:
                raise
            warnings.warn(
                f"no file for images of any size ({error.args[0]}): one for tiles of "
                f"{sizes[-1]}×{sizes[-1]} pixels follows",
                RuntimeWarning,
                stacklevel=3,
            )
    return ExportReport(
        output=output,
        bytes=len(content),
        arch=generator.arch,
        scale=generator.scale_factor,
        parameters=sum(weights.numel() for weights in generator.parameters()),
        halo=tiles.halo,
        receptive_radius=generator.receptive_radius,
        phase=tiles.phase,
        tile_error=tiles.tile_error,
        tile_size=side,
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
        from sr_train.checkpoint import load_any_generator

    file = model_file(model)
    if is_engine(file):
        raise ModelError("this is an engine, and verify compares ONNX files", path=file)
    refuse_other_kinds(file)
    generator = load_any_generator(checkpoint, scale=scale, activation=activation)
    return require(compare(generator, file, backend=backend), path=file)
