"""A part of a row of the matrix: the export and its comparison, or what follows from its facts."""

import shutil
import warnings
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

import sr_export
from benchmarks.architectures.engines import Row, rtx, speed, webgpu
from benchmarks.architectures.networks import save_network
from benchmarks.data import in_data
from sr_export.parity import compare
from sr_export.photos import CALIBRATION, crops, tensor_from_crop
from sr_runtime.backends.base import infer
from sr_runtime.backends.choice import open_backend
from sr_runtime.backends.openvino import OpenVINOBackend
from sr_runtime.backends.out_of_memory import memory_for_network
from sr_runtime.errors import SRError
from sr_runtime.tensor import planes_from_output, tensor_from_tiles
from sr_train.checkpoint import load_any_generator
from sr_train.models.generator import Generator
from sr_train.models.spandrel_network import SpandrelNetwork

__all__ = ["PARTS", "REAL", "measure"]

REAL = {
    "ESRGAN": "weights/RRDB_ESRGAN_x4.pth",
    "Compact": "weights/realesr-animevideov3.pth",
}
"""Rows with the published weights, by their files in SR_DATA."""


def measure(part: str, name: str, exported: Row, folder: Path) -> Row:
    """What a part of a row finds out; `failed` says why there is no more of it.

    Args:
        part: One of `PARTS`.
        exported: What the part "export" found; empty for itself.
        folder: An empty one, for files.
    """
    found: Row = {}
    try:
        if name in REAL:
            checkpoint = in_data(REAL[name])
        else:
            checkpoint = folder / "network.pth"
            save_network(name, checkpoint)
        with memory_for_network("measure this"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            PARTS[part](checkpoint, exported, folder, found)
    except SRError as error:
        # The sentence, without the name of a temporary file.
        found["failed"] = str(error.args[0])
    return found


def _export(checkpoint: Path, _exported: Row, folder: Path, found: Row) -> None:
    """The network's facts, those of its file, and the file's difference from PyTorch."""
    generator = load_any_generator(checkpoint)
    found |= _recognised(generator)
    model = folder / "network.onnx"
    report = sr_export.export_onnx(checkpoint, model, calibration=_one_photo(folder))
    found |= {
        "tile_size": report.tile_size,
        "halo": report.halo,
        "phase": report.phase,
        "tile_error": report.tile_error,
        "bytes": report.bytes,
        "export_seconds": round(sum(report.seconds.values()), 1),
    }
    for backend in ("onnxruntime", "openvino"):
        checks = compare(generator, model, backend=backend)
        found[f"{backend}_error"] = max(check.value for check in checks)
    found["bf16_error"] = _bf16_error(generator, model)


PARTS: Mapping[str, Callable[[Path, Row, Path, Row], None]] = {
    "export": _export,
    "rtx": rtx,
    "webgpu": webgpu,
    "speed": speed,
}
"""The groups of columns. Each takes the checkpoint, what the export found, a folder, and what it
adds its own results to."""


def _one_photo(folder: Path) -> Path:
    """A folder with one of the photos on which an export measures the halo; all take longer."""
    photos = folder / "photos"
    photos.mkdir()
    shutil.copy(CALIBRATION / "astronaut.png", photos)
    return photos


def _recognised(generator: Generator) -> dict[str, Any]:
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


def _bf16_error(generator: Generator, model: Path) -> float | None:
    """OpenVINO in bf16, where the processor computes in it."""
    if "bf16" not in OpenVINOBackend.precisions():
        return None
    with closing(open_backend("openvino", model, device="cpu", precision="bf16")) as engine:
        least = max(64, engine.limits.min_tile[0])
        side = -(-least // generator.multiple_of) * generator.multiple_of
        pixels = crops(1, side, side, channels=generator.in_channels)
        got = planes_from_output(infer(engine, tensor_from_tiles(pixels, engine.info)), engine.info)
    with torch.inference_mode():
        wanted = generator(tensor_from_crop(pixels[0])).numpy()
    return float(np.abs(got - wanted).max())
