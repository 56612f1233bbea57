"""A TensorRT engine against fp32, before it is written."""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sr_export.fp16_check import precision_checks
from sr_export.parity import run_crops
from sr_export.photos import crops
from sr_export.report import Check
from sr_runtime.backends import registry
from sr_runtime.backends.onnx_metadata import EXPORT_FP16
from sr_runtime.backends.tensorrt.engine_file import EngineInfo, write_engine
from sr_runtime.backends.tensorrt.options import Profile
from sr_runtime.errors import ModelError
from sr_runtime.model_info import ModelInfo

__all__ = ["engine_checks", "fp32_outputs", "profile_crops"]

# Small tiles: the fp32 side may be computed by one core.
SIDE = 64
BATCH = 4


def profile_crops(profile: Profile, info: ModelInfo) -> list[NDArray[np.uint8]]:
    """Different `(h, w, C)` crops of the shipped photos, of one shape that the profile takes."""
    side = SIDE // info.multiple_of * info.multiple_of
    height = min(max(side, profile.min.height), profile.max.height)
    width = min(max(side, profile.min.width), profile.max.width)
    count = max(profile.min.batch, min(profile.opt.batch, BATCH))
    return crops(count, height, width, channels=info.in_channels)


def fp32_outputs(model: Path, pixels: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """What an ONNX file makes of crops on the CPU in fp32: `(N, C, sh, sw)`, 1 is white."""
    name, device = registry.choose("auto", "cpu")
    with closing(registry.open_backend(name, model, device=device, precision="fp32")) as engine:
        scale, planes = engine.info.scale, run_crops(engine, pixels)
    height, width = pixels[0].shape[:2]
    if planes.shape[2:] != (height * scale, width * scale):
        raise ModelError(
            f"it turns {height}×{width} into {planes.shape[2]}×{planes.shape[3]}, and its metadata "
            f"states a scale of {scale}: export it again: {EXPORT_FP16}",
            path=model,
        )
    return planes


def engine_checks(
    plan: bytes,
    info: EngineInfo,
    pixels: Sequence[NDArray[np.uint8]],
    wanted: NDArray[np.float32],
    *,
    device: str,
) -> tuple[Check, ...]:
    """Run a plan on crops, as one batch, and compare it with what fp32 makes of them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "candidate.engine"
        write_engine(path, plan, info)
        with closing(
            registry.open_backend("tensorrt", path, device=device, precision="fp16")
        ) as engine:
            got = run_crops(engine, pixels, together=True)
    shape = "×".join(map(str, (len(pixels), *pixels[0].shape[:2])))
    hint = (
        "the ONNX file matches its checkpoint, so TensorRT is at fault: build with another "
        "--level, or with another version of TensorRT"
    )
    return tuple(precision_checks(f"engine against fp32, {shape}", got, wanted, hint))
