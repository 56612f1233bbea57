"""The parity gate, on real pixels: an ONNX file against its checkpoint, an engine against fp32."""

import math
import tempfile
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sr_export.first_difference import ROUNDING, first_difference
from sr_export.fp16_check import (
    half_precision_checks,
    least_psnr,
    overflow_checks,
    precision_checks,
)
from sr_export.io_conversions import WithIO
from sr_export.limits import MAX_FP32_ERROR, MIN_PSNR, SIZES
from sr_export.onnx_file import load_onnx
from sr_export.onnx_in_half import run_in_half
from sr_export.photos import crops, tensor_from_crop
from sr_export.report import Check, VerificationError
from sr_runtime.backends.base import Backend, infer
from sr_runtime.backends.choice import choose, open_backend
from sr_runtime.backends.onnx_metadata import EXPORT_FP16
from sr_runtime.backends.tensorrt.engine_file import EngineInfo, write_engine
from sr_runtime.backends.tensorrt.options import NAMES, Profile
from sr_runtime.errors import ModelError, about
from sr_runtime.model_info import ModelInfo
from sr_runtime.storage.temporary import temporary_folder
from sr_runtime.tensor import float_planes, planes_from_output, tensor_from_tiles
from sr_train.checkpoint import weights_sha256
from sr_train.models.generator import Generator

__all__ = [
    "compare",
    "engine_checks",
    "fp32_outputs",
    "half_checks",
    "half_graph_checks",
    "profile_crops",
    "require",
]

# The batch on which an engine is compared. Small: the fp32 side may be computed by one core.
SIDE = 64
BATCH = 4

SAME_WEIGHTS = (
    "it was exported from these weights, so the inference engine or the exporter is at fault, or "
    "the file was changed later: try another --backend"
)


def half_checks(generator: Generator) -> list[Check]:
    """A generator in true half precision, in which values overflow that stay finite on a CPU."""
    multiple = generator.multiple_of
    side = max(SIDE // multiple * multiple, multiple, generator.min_side)
    (crop,) = crops(1, side, side, channels=generator.in_channels)
    return half_precision_checks(generator, tensor_from_crop(crop))


def compare(
    generator: Generator, model: Path, *, half: Sequence[Check] = (), backend: str = "auto"
) -> list[Check]:
    """Compare a generator with its ONNX file, which an inference engine computes in fp32.

    Args:
        half: Its `half_checks`, if they are known; those of an FP16 file are needed.

    Raises:
        BackendError: No inference engine works here.
        ModelError: The file holds another network.
    """
    multiple, channels = generator.multiple_of, generator.in_channels
    name = choose(backend, "cpu")[0]
    with closing(open_backend(name, model, device="cpu", precision="fp32")) as engine:
        info = engine.info
        facts = (info.scale, info.in_channels, info.multiple_of)
        expected = (generator.scale_factor, channels, multiple)
        if facts != expected:
            raise ModelError(
                f"this is another network than the checkpoint's: its scale, channels and "
                f"multiple_of are {facts}, and the checkpoint's are {expected}: name the "
                "checkpoint that it was exported from",
                path=model,
            )
        pixels = _batches(engine, channels)
        outputs = [_run(engine, each) for each in pixels]
    hint = _hint(generator, info)
    checks: list[Check] = []
    least = MIN_PSNR
    if info.weights_dtype == "float16":
        checks += half or half_checks(generator)  # first, because these name the layer at fault
        (true_half,) = (check.value for check in checks if check.at_least)
        least = least_psnr(true_half, rounds_to_levels=info.io == "uint8")
    for batch, got in zip(pixels, outputs, strict=True):
        with torch.inference_mode():
            # One by one: a file must not mix the images of a batch.
            alone = [generator(tensor_from_crop(crop)).numpy() for crop in batch]
        wanted = np.concatenate(alone)
        if info.io == "uint8":
            wanted = np.rint(wanted.clip(0, 1) * 255) / np.float32(255)
        what = f"file against fp32, {batch[0].shape[0]}×{batch[0].shape[1]}"
        if info.weights_dtype == "float16":
            checks += precision_checks(what, got, wanted, hint, least=least)
        else:
            # A value halfway between two uint8 values may be rounded either way.
            limit = MAX_FP32_ERROR + (1 / 255 if info.io == "uint8" else 0)
            error = float(np.abs(got - wanted).max())
            check = Check(f"{what}: largest error", error, limit, hint=hint)
            if not check.passed and hint == SAME_WEIGHTS:
                with suppress(Exception):  # what cannot be explained is refused all the same
                    hint = _fault(generator, model, info, batch, error=error, engine=name)
                check = replace(check, hint=hint)
            checks.append(check)
    return checks


def profile_crops(profile: Profile, info: ModelInfo) -> list[NDArray[np.uint8]]:
    """Different `(h, w, C)` crops of the shipped photos, of one shape that the profile takes."""
    side = max(SIDE // info.multiple_of, 1) * info.multiple_of
    height = min(max(side, profile.min.height), profile.max.height)
    width = min(max(side, profile.min.width), profile.max.width)
    count = max(profile.min.batch, min(profile.opt.batch, BATCH))
    return crops(count, height, width, channels=info.in_channels)


def fp32_outputs(model: Path, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The output of an ONNX file for crops, on the CPU in fp32: `(N, C, sh, sw)`, 1 is white."""
    with closing(_in_fp32(model)) as engine:
        # One by one, which takes less memory.
        return np.concatenate([_scaled(engine, [crop], model) for crop in pixels])


def _in_fp32(model: Path) -> Backend:
    name, device = choose("auto", "cpu")
    return open_backend(name, model, device=device, precision="fp32")


def _scaled(
    engine: Backend, pixels: Sequence[NDArray[np.uint8]], model: Path
) -> NDArray[np.float32]:
    """What `_run` returns; ModelError if that has not the size which the file states."""
    planes, scale = _run(engine, pixels), engine.info.scale
    height, width = pixels[0].shape[:2]
    if planes.shape[2:] != (height * scale, width * scale):
        raise ModelError(
            f"it turns {height}×{width} into {planes.shape[2]}×{planes.shape[3]}, and its metadata "
            f"states a scale of {scale}: export it again: {EXPORT_FP16}",
            path=model,
        )
    return planes


def half_graph_checks(model: Path, info: ModelInfo) -> list[Check]:
    """An FP16 file in true half precision against fp32, and its largest activation.

    It needs no GPU, and shows what overflows on one.
    """
    graph = load_onnx(model)
    with closing(_in_fp32(model)) as engine:
        pixels = _batches(engine, info.in_channels)[0]
        wanted = _scaled(engine, pixels, model)
    (output, *_), peaks = run_in_half(graph, tensor_from_tiles(pixels, info))
    got = float_planes(planes_from_output(output, info))
    remedy = "run the model exported with --precision fp32, in another backend"
    return overflow_checks(got, wanted, peaks, peaks, remedy=remedy)


def engine_checks(
    plan: bytes,
    info: EngineInfo,
    pixels: Sequence[NDArray[np.uint8]],
    wanted: NDArray[np.float32],
    *,
    device: str,
    output: Path,
) -> list[Check]:
    """Run a plan on crops, as one batch, and compare its output with fp32's.

    Args:
        output: Where the plan will be written; errors are about this file.
    """
    with temporary_folder(Path(tempfile.gettempdir())) as folder:
        path = folder.path / "candidate.engine"
        write_engine(path, plan, info)
        with about(output, instead_of=path):
            opened = open_backend(info.kind, path, device=device, precision="fp16")
            with closing(opened) as engine:
                got = _run(engine, pixels)
    shape = "×".join(map(str, (len(pixels), *pixels[0].shape[:2])))
    name = NAMES[info.kind]
    hint = f"the ONNX file matches its checkpoint, so {name} is at fault: build with another "
    hint += f"--level, or with another version of {name}" if info.kind == "tensorrt" else "version"
    return precision_checks(f"engine against fp32, {shape}", got, wanted, hint)


def require(checks: Sequence[Check], *, path: Path | None = None) -> tuple[Check, ...]:
    """The checks; raise VerificationError for the first one that failed."""
    for check in checks:
        if not check.passed:
            raise VerificationError(checks, check, path=path)
    return tuple(checks)


def _run(engine: Backend, crops: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """The output of an engine for a batch of `(h, w, C)` crops: `(N, C, sh, sw)`, 1 is white."""
    output = infer(engine, tensor_from_tiles(crops, engine.info))
    return float_planes(planes_from_output(output, engine.info))


def _batches(engine: Backend, channels: int) -> list[list[NDArray[np.uint8]]]:
    """What a file is compared on: the sizes that it takes; two crops of the last, unless it takes
    only single ones."""
    limits, multiple = engine.limits, engine.info.multiple_of
    if limits.max_tile is not None:
        return [crops(limits.batch, *limits.max_tile, channels=channels)]
    *others, last = dict.fromkeys(
        tuple(
            max(side // multiple * multiple, multiple, least)
            for side, least in zip(size, limits.min_tile, strict=True)
        )
        for size in SIZES
    )
    count = limits.batch if limits.fixed_batch else 2
    return [
        *(crops(limits.batch, *size, channels=channels) for size in others),
        crops(count, *last, channels=channels),
    ]


def _hint(generator: Generator, info: ModelInfo) -> str:
    if info.weights_sha256 is None:
        return "the file does not say from which weights it was exported"
    if info.weights_sha256 == weights_sha256(generator):
        if generator.architecture.get("activation", "prelu") != "prelu":
            return "it was exported from these weights with another --activation"
        return SAME_WEIGHTS
    return "the file was exported from other weights: export this checkpoint again"


def _fault(
    generator: Generator,
    model: Path,
    info: ModelInfo,
    pixels: Sequence[NDArray[np.uint8]],
    *,
    error: float,
    engine: str,
) -> str:
    """The hint for an FP32 file of the same weights: what is at fault, an operator mostly."""
    batch = torch.cat([tensor_from_crop(crop) for crop in pixels])
    with torch.inference_mode():
        together = generator(batch.clone())  # some networks write into their input
        alone = torch.cat([generator(crop[None].clone()) for crop in batch])
    largest, mixed = float(alone.abs().max()), float((together - alone).abs().max())
    rounding = max(MAX_FP32_ERROR, ROUNDING * largest)
    if mixed > rounding:
        return (
            f"the network mixes the images of a batch, in PyTorch too (by {mixed:.2g}): export it "
            "with --tile-size, for one image at a time"
        )
    if error <= rounding:
        return (
            f"its values reach {largest:.2g}, where 1 is white, so that rounding alone differs as "
            "much: take a checkpoint whose network returns pictures"
        )
    network = WithIO(generator.folded(), torch.float32, info.io)
    found = first_difference(network, load_onnx(model), tensor_from_tiles(pixels, info))
    if found is None:
        return (
            "it was exported from these weights, and each of its operators alone computes what "
            f"PyTorch does, so {engine} is at fault: try another --backend"
        )
    name, difference = found
    least = f" (by {difference:.2g} or more)" if math.isfinite(difference) else ""
    return (
        "it was exported from these weights, and the first operator whose result differs from "
        f"PyTorch's is {name}{least}: the exporter is at fault, or the file was changed later"
    )
