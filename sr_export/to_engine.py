"""From a checkpoint or an FP16 ONNX file to a TensorRT engine, compared with fp32."""

import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sr_export.build_bar import BuildBar
from sr_export.checks import Check
from sr_export.fp16_check import half_precision_checks, precision_checks
from sr_export.halo import calibrate_halo, calibration_images, tensor_from_crop
from sr_export.parity import VerificationError
from sr_export.to_onnx import onnx_from_generator
from sr_runtime.backends import registry
from sr_runtime.backends.base import infer
from sr_runtime.backends.onnx_metadata import EXPORT_FP16, read_fp16_onnx
from sr_runtime.backends.tensorrt.engine_file import EngineInfo, write_engine
from sr_runtime.backends.tensorrt.options import BuildOptions, Profile
from sr_runtime.errors import ModelError
from sr_runtime.model_info import IO, ModelInfo
from sr_runtime.tensor import float_planes, planes_from_output, tensor_from_tiles
from sr_train.checkpoint import load_generator

__all__ = ["BuiltEngine", "engine_from_checkpoint", "engine_from_onnx"]

# Of the tiles that are compared: small ones, for the fp32 side may be computed by one core.
SIDE = 64
BATCH = 4


@dataclass(frozen=True)
class BuiltEngine:
    """A plan in memory, with its facts and what it was measured to be."""

    plan: bytes
    info: EngineInfo
    checks: list[Check]


def engine_from_onnx(
    model: Path, options: BuildOptions, *, timing_cache: Path | None = None
) -> BuiltEngine:
    """Build an FP16 ONNX file, and compare with the file in fp32 on the CPU.

    Raises:
        ArgumentError: The model does not take the profile's shapes.
        ModelError: The file is none of ours, or its weights are FP32.
        BackendError: TensorRT, a GPU, or an inference engine for the CPU is missing.
        VerificationError: The engine's output is too far from fp32.
    """
    _, info = read_fp16_onnx(model)
    options.profile.check_fits(multiple_of=info.multiple_of, halo=info.halo)
    build = _builder(options, timing_cache)
    crops = _crops(options.profile, info)
    wanted = _computed_in_fp32(model, crops)
    plan, engine_info = build(model)
    checks = _engine_checks(plan, engine_info, crops, wanted)
    return BuiltEngine(plan, engine_info, checks)


def engine_from_checkpoint(
    checkpoint: Path,
    options: BuildOptions,
    *,
    scale: int | None = None,
    io: IO = "float32",
    timing_cache: Path | None = None,
) -> BuiltEngine:
    """Export a checkpoint in half, build that, and compare with the generator in torch.

    Raises:
        ArgumentError: The network does not take the profile's shapes, or has another scale.
        ModelError: The file is no checkpoint of a generator.
        BackendError: TensorRT or a GPU is missing.
        VerificationError: Half precision or the engine's output is too far from fp32.
    """
    generator = load_generator(checkpoint, scale=scale)
    multiple_of = generator.multiple_of
    options.profile.check_fits(multiple_of=multiple_of, halo=0)
    build = _builder(options, timing_cache)
    images = calibration_images(channels=generator.in_channels)
    halo = calibrate_halo(generator, images)
    options.profile.check_fits(multiple_of=multiple_of, halo=halo)
    side = SIDE // multiple_of * multiple_of
    half_checks = half_precision_checks(generator, tensor_from_crop(images[0][:side, :side]))
    _require(half_checks)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / f"{checkpoint.stem}.onnx"
        exported = onnx_from_generator(generator, precision="fp16", io=io, halo=halo)
        model.write_bytes(exported.SerializeToString(deterministic=True))
        plan, engine_info = build(model)
    crops = _crops(options.profile, engine_info.model)
    with torch.inference_mode():
        wanted = torch.cat([generator(tensor_from_crop(crop)) for crop in crops]).numpy()
    checks = _engine_checks(plan, engine_info, crops, wanted)
    return BuiltEngine(plan, engine_info, [*half_checks, *checks])


def _builder(
    options: BuildOptions, timing_cache: Path | None
) -> Callable[[Path], tuple[bytes, EngineInfo]]:
    """What builds an ONNX file, with a bar; BackendError where there is no TensorRT or GPU."""
    from sr_runtime.backends.tensorrt.build import build_engine

    def build(model: Path) -> tuple[bytes, EngineInfo]:
        with BuildBar() as bar:
            return build_engine(model, options, timing_cache=timing_cache, progress=bar)

    return build


def _computed_in_fp32(model: Path, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """What an ONNX file makes of crops on the CPU, in `(N, C, sh, sw)`, 1 being white."""
    name, device = registry.choose("auto", "cpu")
    with closing(registry.open_backend(name, model, device=device, precision="fp32")) as engine:
        info = engine.info
        outputs = [infer(engine, tensor_from_tiles([crop], info)) for crop in crops]
    planes = float_planes(planes_from_output(np.concatenate(outputs), info))
    height, width = (side * info.scale for side in crops[0].shape[:2])
    if planes.shape[2:] != (height, width):
        raise ModelError(
            f"{model}: it makes {planes.shape[2]}×{planes.shape[3]} of a crop of "
            f"{crops[0].shape[0]}×{crops[0].shape[1]}, and its facts tell a scale of {info.scale}: "
            f"export it again: {EXPORT_FP16}"
        )
    return planes


def _engine_checks(
    plan: bytes,
    info: EngineInfo,
    crops: Sequence[NDArray[np.uint8]],
    wanted: NDArray[np.float32],
) -> list[Check]:
    """Run a plan on crops of photos, several at a time, and compare each with fp32.

    Raises VerificationError where one is too far from it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "candidate.engine"
        write_engine(path, plan, info)
        with closing(
            registry.open_backend("tensorrt", path, device="cuda:0", precision="fp16")
        ) as engine:
            output = infer(engine, tensor_from_tiles(crops, info.model))
        got = float_planes(planes_from_output(output, info.model))
    shape = "×".join(map(str, (len(crops), *crops[0].shape[:2])))
    checks = precision_checks(
        f"engine against fp32, {shape}",
        got,
        _as_stored(wanted, info.model),
        layer="the ONNX file keeps what its checkpoint computes, so it is TensorRT that differs: "
        "build with another --level, or another version of TensorRT",
    )
    _require(checks)
    return checks


def _as_stored(planes: NDArray[np.float32], info: ModelInfo) -> NDArray[np.float32]:
    """With the rounding that a uint8 model has inside."""
    if info.io == "float32":
        return planes
    rounded: NDArray[np.float32] = np.rint(planes.clip(0, 1) * 255) / np.float32(255)
    return rounded


def _crops(profile: Profile, info: ModelInfo) -> Sequence[NDArray[np.uint8]]:
    """Different `(h, w, C)` crops of the shipped photos, of a shape that the profile takes."""
    side = SIDE // info.multiple_of * info.multiple_of
    height = min(max(side, profile.min.height), profile.max.height)
    width = min(max(side, profile.min.width), profile.max.width)
    count = max(profile.min.batch, min(profile.opt.batch, BATCH))
    images = calibration_images(channels=info.in_channels)
    rows, cols = (max(0, length - len(images[0])) for length in (height, width))
    return [
        np.pad(
            np.roll(images[number % len(images)], 16 * number, axis=0),
            ((0, rows), (0, cols), (0, 0)),
            mode="symmetric",
        )[:height, :width]
        for number in range(count)
    ]


def _require(checks: Sequence[Check]) -> None:
    """Raise VerificationError for the first check that failed."""
    for check in checks:
        if not check.passed:
            raise VerificationError(
                f"the engine would not compute what fp32 does: {check.name} is {check.value:.3g}, "
                f"and the limit is {check.limit:g}; {check.layer}"
            )
