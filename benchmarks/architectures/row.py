"""One row of the matrix: a checkpoint is exported, compared in each engine, and timed."""

import shutil
import time
import warnings
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sr_export
import sr_runtime
from benchmarks.architectures.networks import save_network
from benchmarks.data import in_data, photo
from sr_export.parity import compare
from sr_export.photos import CALIBRATION, crops, tensor_from_crop
from sr_runtime.backends.base import infer
from sr_runtime.backends.choice import open_backend
from sr_runtime.backends.openvino import OpenVINOBackend
from sr_runtime.errors import SRError
from sr_runtime.tensor import planes_from_output, tensor_from_tiles
from sr_train.checkpoint import load_any_generator
from sr_train.models.generator import Generator
from sr_train.models.spandrel_network import SpandrelNetwork

__all__ = ["REAL", "measure"]

REAL = {
    "ESRGAN": "weights/RRDB_ESRGAN_x4.pth",
    "Compact": "weights/realesr-animevideov3.pth",
}
"""Rows with the published weights, by their files in SR_DATA."""

Row = dict[str, Any]


def measure(name: str, folder: Path) -> Row:
    """The facts of one architecture; `failed` says why there are no more of them."""
    row: Row = {"weights": "real" if name in REAL else "random"}
    try:
        if name in REAL:
            checkpoint = in_data(REAL[name])
        else:
            checkpoint = folder / "network.pth"
            save_network(name, checkpoint)
        generator = load_any_generator(checkpoint)
        row |= _recognised(generator)
        model = folder / "network.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            report = sr_export.export_onnx(checkpoint, model, calibration=_one_photo(folder))
        row |= {
            "tile_size": report.tile_size,
            "halo": report.halo,
            "phase": report.phase,
            "tile_error": report.tile_error,
            "bytes": report.bytes,
            "export_seconds": round(sum(report.seconds.values()), 1),
        }
        row |= _errors(generator, model)
        row["ms_per_megapixel"] = _speed(model)
    except SRError as error:
        # The sentence, without the name of a temporary file.
        row["failed"] = str(error.args[0])
    return row


def _one_photo(folder: Path) -> Path:
    """A folder with one of the photos on which an export measures the halo; all take longer."""
    photos = folder / "photos"
    photos.mkdir()
    shutil.copy(CALIBRATION / "astronaut.png", photos)
    return photos


def _recognised(generator: Generator) -> Row:
    by = "spandrel" if isinstance(generator, SpandrelNetwork) else "sr-toolkit"
    return {
        "arch": generator.arch,
        "recognised_by": by,
        "scale": generator.scale_factor,
        "multiple_of": generator.multiple_of,
        "min_side": generator.min_side,
        "supports_half": generator.supports_half,
        "parameters": sum(weights.numel() for weights in generator.parameters()),
    }


def _errors(generator: Generator, model: Path) -> Row:
    """The largest difference from PyTorch in each engine, where 1 is white."""
    errors: Row = {
        f"{backend}_error": max(check.value for check in compare(generator, model, backend=backend))
        for backend in ("onnxruntime", "openvino")
    }
    errors["bf16_error"] = _bf16_error(generator, model)
    return errors


def _bf16_error(generator: Generator, model: Path) -> float | None:
    """OpenVINO in bf16, where the processor computes in it."""
    if "bf16" not in OpenVINOBackend.precisions():
        return None
    with closing(open_backend("openvino", model, device="cpu", precision="bf16")) as engine:
        least = max(64, engine.limits.min_tile[0])
        side = least if engine.limits.max_tile else -(-least // generator.multiple_of)
        side = side if engine.limits.max_tile else side * generator.multiple_of
        pixels = crops(1, side, side, channels=generator.in_channels)
        got = planes_from_output(infer(engine, tensor_from_tiles(pixels, engine.info)), engine.info)
    with torch.inference_mode():
        wanted = generator(tensor_from_crop(pixels[0])).numpy()
    return float(np.abs(got - wanted).max())


def _speed(model: Path) -> dict[str, float]:
    """Milliseconds per megapixel of the input, of a photo, in fp32."""
    image, speed = photo()[:256, :256], {}
    for backend in ("onnxruntime", "openvino"):
        with (
            sr_runtime.load(model, backend=backend, device="cpu", precision="fp32") as upscaler,
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", RuntimeWarning)
            upscaler.upscale(image)
            start = time.perf_counter()
            upscaler.upscale(image)
            seconds = time.perf_counter() - start
        speed[backend] = round(1e9 * seconds / (image.shape[0] * image.shape[1]))
    return speed
