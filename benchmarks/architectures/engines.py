"""What else is measured of a network, in a file that is made again from what is known of it."""

import math
import os
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

import sr_export
import sr_runtime
from benchmarks.data import photo
from benchmarks.software_adapter import use_gpu_or_software_adapter
from sr_export.photos import crops
from sr_export.to_onnx import onnx_from_generator
from sr_runtime.backends.base import infer
from sr_runtime.backends.choice import choose, open_backend
from sr_runtime.backends.tensorrt.library import builder_library
from sr_runtime.backends.tensorrt.options import DEFAULT_PROFILE, Profile, Shape
from sr_runtime.errors import BackendError
from sr_runtime.tensor import planes_from_output, tensor_from_tiles
from sr_train.checkpoint import load_any_generator

__all__ = ["Row", "rtx", "speed", "webgpu"]

Row = dict[str, Any]

SIDE = 24
"""Of the image that WebGPU gets: on an adapter in software one pixel takes milliseconds."""
QUIET = 0.1
"""Cores that other processes may keep busy while something is timed."""


def rtx(checkpoint: Path, exported: Row, folder: Path, found: Row) -> None:
    """Build an engine from the file in FP16; without such a card it is not run."""
    try:
        builder_library("tensorrt-rtx")
    except BackendError as error:
        found["not_run"] = str(error)
        return
    profile, size = DEFAULT_PROFILE, exported["tile_size"]
    if size:
        profile = Profile(*[Shape(1, size, size)] * 3)
    report = sr_export.build_engine(
        _file(checkpoint, exported, folder, precision="fp16"),
        folder / "network.engine",
        kind="tensorrt-rtx",
        profile=profile,
    )
    found |= {
        "bytes": report.bytes,
        "seconds": round(report.seconds["building the engine"], 1),
        "ran": report.not_run is None,
    }


def webgpu(checkpoint: Path, exported: Row, folder: Path, found: Row) -> None:
    """The largest difference between WebGPU and the CPU, on one small tile, 1 being white."""
    use_gpu_or_software_adapter()
    try:
        _, device = choose("webgpu", "auto")
    except BackendError as error:
        found["not_run"] = str(error)
        return
    model = _file(checkpoint, exported, folder)
    grid = math.lcm(exported["multiple_of"], exported["phase"])
    side = exported["tile_size"] or -(-max(SIDE, exported["min_side"]) // grid) * grid
    outputs = []
    for backend, where in (("webgpu", device), ("onnxruntime", "cpu")):
        with closing(open_backend(backend, model, device=where, precision="fp32")) as engine:
            if backend == "webgpu":
                found |= {"side": side, "adapter": engine.notes[0], "nodes": engine.notes[-1]}
            tile = tensor_from_tiles(crops(1, side, side, channels=3), engine.info)
            outputs.append(planes_from_output(infer(engine, tile), engine.info))
    found["error"] = float(np.abs(outputs[0] - outputs[1]).max())


def speed(checkpoint: Path, exported: Row, folder: Path, found: Row) -> None:
    """Milliseconds per megapixel of the input, of a photo, in fp32: the fastest of some runs."""
    model = _file(checkpoint, exported, folder)
    image = photo()[:256, :256]
    start, others = time.perf_counter(), _busy_for_others()
    for backend in ("onnxruntime", "openvino"):
        with sr_runtime.load(model, backend=backend, device="cpu", precision="fp32") as upscaler:
            upscaler.upscale(image)
            seconds: list[float] = []
            while not seconds or (len(seconds) < 3 and sum(seconds) < 3):
                begin = time.perf_counter()
                upscaler.upscale(image)
                seconds.append(time.perf_counter() - begin)
        found[backend] = round(1e9 * min(seconds) / (image.shape[0] * image.shape[1]))
    others = _busy_for_others() - others
    found["quiet"] = others < QUIET * (time.perf_counter() - start)


def _file(checkpoint: Path, exported: Row, folder: Path, **options: Any) -> Path:
    """The ONNX file, without the search for its halo, and not verified again."""
    facts = {name: exported[name] for name in ("halo", "phase", "tile_error", "tile_size")}
    model = onnx_from_generator(load_any_generator(checkpoint), **facts, **options)
    path = folder / "network.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def _busy_for_others() -> float:
    """Seconds that processors have worked for other processes; infinite where nothing tells it."""
    try:
        words = Path("/proc/stat").read_text().split(maxsplit=9)
    except OSError:
        return math.inf
    user, nice, system, _idle, _waiting, interrupts, more_interrupts, stolen = map(int, words[1:9])
    ticks = user + nice + system + interrupts + more_interrupts + stolen
    mine = os.times()
    return ticks / os.sysconf("SC_CLK_TCK") - mine.user - mine.system
