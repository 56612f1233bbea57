"""Small models on the device against the CPU's pictures: whole files, threads, little memory."""

import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import sr_runtime
from benchmarks.gpu.engines import working_backends
from benchmarks.gpu.network import fixed_shape, write_onnx
from benchmarks.gpu.parity import against
from benchmarks.gpu.run import Found, Run, reason_of
from sr_runtime import Upscaler
from sr_runtime.backends import registry
from sr_runtime.embedded import model_file
from sr_train.checkpoint import load_generator

__all__ = ["correct"]

# The PSNR against the CPU's 8-bit picture: rounding to half precision stays above the first.
# Rounding to TF32's 10 bits, which no fp32 model may do, stays below the second.
MIN_PSNR = {"fp16": 45.0, "bf16": 45.0, "fp32": 70.0}
FP32, FIXED = "an fp32 file", "a file of fixed shape"
THREADS = 2
# Tiles of the file of fixed shape.
SIDE = 64
# What is left to a model when the rest of the GPU's memory is taken.
SPARE = 512 << 20

Photo = NDArray[np.uint8]
Load = Callable[[], Upscaler]


def correct(run: Run) -> Found:
    """Rows by backend and case, each with its PSNR and the least that is right."""
    photo = run.photo_of(*run.sizes.checked)
    models = {"the embedded model": model_file("esrgan")}
    run.attempt(FP32, lambda: models.update({FP32: _fp32_file(run)}))
    run.attempt(FIXED, lambda: models.update({FIXED: _fixed_file(run)}))
    wanted = {}
    for name, model in models.items():
        with sr_runtime.load(model, backend="onnxruntime", device="cpu", precision="fp32") as cpu:
            wanted[name] = cpu.upscale(photo)
    for backend, device in working_backends(run):
        for name, model in models.items():
            if name == FP32 and not _computes_fp32(backend, device):
                continue
            load = partial(sr_runtime.load, model, backend=backend, device=device)
            yield f"{backend}: {name}", _row(load, partial(_picture, photo, wanted[name]))
        load = partial(sr_runtime.load, "esrgan", backend=backend, device=device)
        yield f"{backend}: {THREADS} threads", _row(load, partial(_threads, photo))
        if run.device.type == "cuda":
            yield f"{backend}: little memory", _row(load, partial(_little_memory, run, load))
    if run.device.type == "cpu":
        run.leave_out("little memory", "the memory of a CPU cannot be taken away from a model")


def _computes_fp32(backend: str, device: str) -> bool:
    rows = [row for row in registry.rows(backend) if device.startswith(row.kind)]
    return "fp32" in rows[0].load().precisions()


def _fp32_file(run: Run) -> Path:
    file = run.settings.cache / "embedded-fp32.onnx"
    weights = Path(str(files("sr_runtime") / "models" / "training" / "esrgan.safetensors"))
    write_onnx(load_generator(weights), file, io="float32", precision="fp32")
    return file


def _fixed_file(run: Run) -> Path:
    return fixed_shape(model_file("esrgan"), run.settings.cache / "embedded-fixed.onnx", SIDE)


def _row(load: Load, measure: Callable[[Upscaler], dict[str, Any]]) -> dict[str, Any]:
    """The measurement, its time, and whether it is right; a failure does not end the part."""
    start = time.monotonic()
    try:
        with load() as upscaler:
            row = {"precision": upscaler.backend.compute_dtype, **measure(upscaler)}
    except Exception as error:
        return {"right": False, "failed": reason_of(error)}
    least = MIN_PSNR[row["precision"]]
    right = row.get("psnr_db", 0.0) >= least and row.get("same", True)
    return row | {"right": right, "least_db": least, "seconds": time.monotonic() - start}


def _picture(photo: Photo, wanted: Photo, upscaler: Upscaler) -> dict[str, Any]:
    return _compared(upscaler.upscale(photo), wanted)


def _threads(photo: Photo, upscaler: Upscaler) -> dict[str, Any]:
    """Several threads on one upscaler get what one thread gets."""
    photos = [np.roll(photo, 17 * number, axis=1) for number in range(2 * THREADS)]
    alone = [upscaler.upscale(photo) for photo in photos]
    with ThreadPoolExecutor(THREADS) as threads:
        together = list(threads.map(upscaler.upscale, photos))
    same = all(map(np.array_equal, together, alone))
    return {**_compared(np.stack(together), np.stack(alone)), "same": same}


def _little_memory(run: Run, load: Load, upscaler: Upscaler) -> dict[str, Any]:
    """Another user takes nearly all memory of the GPU: tiles get smaller, the picture stays."""
    photo = run.photo_of(*run.sizes.photo)
    before = upscaler.max_tile
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(run.device)
    taken = torch.empty(max(0, free - SPARE), dtype=torch.uint8, device=run.device)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        small = upscaler.upscale(photo)
    after = upscaler.max_tile
    del taken
    torch.cuda.empty_cache()
    with load() as afresh:
        row = _compared(small, afresh.upscale(photo))
    return {**row, "tile_before": before, "tile_after": after, "warnings": len(told)}


def _compared(got: Photo, wanted: Photo) -> dict[str, Any]:
    return against(got / np.float32(255), wanted / np.float32(255))
