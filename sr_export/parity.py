"""The parity gate: a generator in torch against the model that was written, on real pixels."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sr_export.fp16_check import half_precision_checks, precision_checks
from sr_export.photos import crops, tensor_from_crop
from sr_export.report import Check, VerificationError
from sr_runtime.backends import registry
from sr_runtime.backends.base import Backend, infer
from sr_runtime.errors import ModelError
from sr_runtime.model_info import ModelInfo
from sr_runtime.tensor import float_planes, planes_from_output, tensor_from_tiles
from sr_train.checkpoint import weights_sha256
from sr_train.models.generator import Generator

__all__ = ["compare", "require", "run_crops", "stored_planes"]

MAX_FP32_ERROR = 1e-4

# A common size, and an odd one that no kernel is made for.
SIZES = ((64, 64), (37, 53))


def compare(generator: Generator, model: Path, *, backend: str = "auto") -> list[Check]:
    """Compare a generator with its ONNX file, which an inference engine computes in fp32.

    The weights of an FP16 file are also checked in true half precision: inference engines on a
    CPU compute in wider types, in which nothing overflows.

    Raises:
        BackendError: No inference engine works here.
        ModelError: The file holds another network.
    """
    name = registry.choose(backend, "cpu")[0]
    with closing(registry.open_backend(name, model, device="cpu", precision="fp32")) as engine:
        info = engine.info
        facts = (info.scale, info.in_channels, info.multiple_of)
        expected = (generator.scale_factor, generator.in_channels, generator.multiple_of)
        if facts != expected:
            raise ModelError(
                f"this is another network than the checkpoint's: its scale, channels and "
                f"multiple_of are {facts}, and the checkpoint's are {expected}",
                path=model,
            )
        hint = _hint(generator, info)
        checks = [
            check
            for height, width in SIZES
            for check in _compare(generator, engine, (height, width), hint)
        ]
    if info.weights_dtype == "float16":
        # First, because these name the layer at fault.
        (crop,) = _crops(generator, SIZES[0])
        return [*half_precision_checks(generator, tensor_from_crop(crop)), *checks]
    return checks


def require(checks: Sequence[Check], *, path: Path | None = None) -> None:
    """Raise VerificationError for the first check that failed."""
    for check in checks:
        if not check.passed:
            raise VerificationError(checks, check, path=path)


def run_crops(
    engine: Backend, crops: Sequence[NDArray[np.uint8]], *, together: bool = False
) -> NDArray[np.float32]:
    """What an engine makes of `(h, w, C)` crops: `(N, C, sh, sw)` planes in which 1 is white.

    Args:
        together: Run them as one batch instead of one by one.
    """
    info = engine.info
    batches = [crops] if together else [[crop] for crop in crops]
    outputs = [infer(engine, tensor_from_tiles(batch, info)) for batch in batches]
    return float_planes(planes_from_output(np.concatenate(outputs), info))


def stored_planes(planes: NDArray[np.float32], info: ModelInfo) -> NDArray[np.float32]:
    """Planes as a model returns them: a uint8 model clamps and rounds."""
    if info.io == "float32":
        return planes
    rounded: NDArray[np.float32] = np.rint(planes.clip(0, 1) * 255) / np.float32(255)
    return rounded


def _compare(
    generator: Generator, engine: Backend, size: tuple[int, int], hint: str
) -> list[Check]:
    info, pixels = engine.info, _crops(generator, size)
    got = run_crops(engine, pixels)
    with torch.inference_mode():
        wanted = stored_planes(generator(tensor_from_crop(pixels[0])).numpy(), info)
    what = f"file against fp32, {pixels[0].shape[0]}×{pixels[0].shape[1]}"
    if info.weights_dtype == "float16":
        return precision_checks(what, got, wanted, hint)
    # A value halfway between two uint8 values may be rounded either way.
    limit = MAX_FP32_ERROR + (1 / 255 if info.io == "uint8" else 0)
    return [Check(f"{what}: largest error", float(np.abs(got - wanted).max()), limit, hint=hint)]


def _crops(generator: Generator, size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """One crop, of this size rounded down to what the network takes."""
    multiple = generator.multiple_of
    height, width = (side // multiple * multiple for side in size)
    return crops(1, height, width, channels=generator.in_channels)


def _hint(generator: Generator, info: ModelInfo) -> str:
    if info.weights_sha256 is None:
        return "the file does not say from which weights it was exported"
    if info.weights_sha256 == weights_sha256(generator):
        return (
            "its weights are the checkpoint's, so the inference engine or the exporter is at "
            "fault: try another --backend"
        )
    return "the file was exported from other weights: export this checkpoint again"
