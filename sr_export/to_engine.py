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
from sr_export.half import half_precision_checks, precision_checks
from sr_export.halo import calibrate_halo, calibration_images, tensor_from_crop
from sr_export.to_onnx import onnx_from_generator
from sr_export.verify import VerificationError
from sr_runtime import backends
from sr_runtime.backends.engine_file import EngineInfo, write_engine
from sr_runtime.backends.engine_options import BuildOptions, Profile
from sr_runtime.backends.onnx_facts import info_of_onnx
from sr_runtime.errors import ArgumentError, ModelError
from sr_runtime.model_info import IO, ModelInfo
from sr_runtime.tensor import float_planes, planes_from_output, tensor_from_tiles
from sr_train.checkpoint import load_generator
from sr_train.models import Generator

__all__ = ["BuiltEngine", "check_profile", "engine_from_checkpoint", "engine_from_onnx"]

# Of the tiles that are compared: small ones, for the fp32 side may be computed by one core.
SIDE = 64
BATCH = 4

Reference = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""An `(h, w, C)` crop to the `(C, sh, sw)` planes that fp32 makes of it, 1 being white."""


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
    info = info_of_onnx(model)
    if info.weights_dtype != "float16":
        raise ModelError(
            f"{model}: its weights are {info.weights_dtype}, and an engine computes in FP16: "
            "export it with python -m sr_export onnx CHECKPOINT --precision fp16 -o MODEL.onnx"
        )
    check_profile(options.profile, multiple_of=info.multiple_of, halo=info.halo)
    build = _builder(options, timing_cache)
    name = backends.usable_backend("auto")
    with closing(backends.open_backend(name, model, device="cpu", precision="fp32")) as engine:

        def reference(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
            output = engine.submit(tensor_from_tiles([crop], engine.info)).result()
            return float_planes(planes_from_output(output, engine.info)[0]).copy()

        plan, engine_info = build(model)
        checks = _engine_checks(plan, engine_info, reference)
    _require(checks)
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
    check_profile(options.profile, multiple_of=multiple_of, halo=0)
    build = _builder(options, timing_cache)
    images = calibration_images(channels=generator.img_channels)
    halo = calibrate_halo(generator, images)
    check_profile(options.profile, multiple_of=multiple_of, halo=halo)
    side = SIDE // multiple_of * multiple_of
    half_checks = half_precision_checks(generator, tensor_from_crop(images[0][:side, :side]))
    _require(half_checks)
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / f"{checkpoint.stem}.onnx"
        exported = onnx_from_generator(generator, precision="fp16", io=io, halo=halo)
        model.write_bytes(exported.SerializeToString(deterministic=True))
        plan, engine_info = build(model)
    checks = _engine_checks(plan, engine_info, _in_torch(generator))
    _require(checks)
    return BuiltEngine(plan, engine_info, [*half_checks, *checks])


def check_profile(profile: Profile, *, multiple_of: int, halo: int) -> None:
    """Raise ArgumentError for shapes that the model does not take, or too small to cut images to.

    Args:
        halo: 0 where it is not known yet.
    """
    for name, shape in (("min", profile.min), ("opt", profile.opt), ("max", profile.max)):
        if shape.height % multiple_of or shape.width % multiple_of:
            raise ArgumentError(
                f"--{name} {shape}: the model takes heights and widths that are multiples of "
                f"{multiple_of}"
            )
    least = -(-(2 * halo + 1) // multiple_of) * multiple_of
    if min(profile.max.height, profile.max.width) < least:
        raise ArgumentError(
            f"--max {profile.max} leaves no room for the model's halo of {halo} on both sides: "
            f"its tiles must be {least}x{least} or larger"
        )


def _builder(
    options: BuildOptions, timing_cache: Path | None
) -> Callable[[Path], tuple[bytes, EngineInfo]]:
    """What builds an ONNX file, with a bar; BackendError where there is no TensorRT or GPU."""
    from sr_runtime.backends.tensorrt_build import build_engine

    def build(model: Path) -> tuple[bytes, EngineInfo]:
        with BuildBar() as bar:
            return build_engine(model, options, timing_cache=timing_cache, progress=bar)

    return build


def _in_torch(generator: Generator) -> Reference:
    @torch.inference_mode()
    def reference(crop: NDArray[np.uint8]) -> NDArray[np.float32]:
        planes: NDArray[np.float32] = generator(tensor_from_crop(crop))[0].numpy()
        return planes

    return reference


def _engine_checks(plan: bytes, info: EngineInfo, reference: Reference) -> list[Check]:
    """Run a plan on crops of photos, several at a time, and compare each with fp32."""
    crops = _crops(info.profile, info.model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "candidate.engine"
        write_engine(path, plan, info)
        with closing(
            backends.open_backend("tensorrt", path, device="cuda:0", precision="fp16")
        ) as engine:
            output = engine.submit(tensor_from_tiles(crops, info.model)).result()
            got = float_planes(planes_from_output(output, info.model)).copy()
    wanted = np.stack([_as_stored(reference(crop), info.model) for crop in crops])
    shape = "×".join(map(str, (len(crops), *crops[0].shape[:2])))
    return precision_checks(
        f"engine against fp32, {shape}",
        got,
        wanted,
        layer="the ONNX file keeps what its checkpoint computes, so it is TensorRT that differs: "
        "build with another --level, or another version of TensorRT",
    )


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
