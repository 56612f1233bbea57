"""Small models on the device against the CPU's pictures: whole files, threads, little memory."""

import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
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
from sr_runtime.embedded import DEFAULT, checkpoint_file, model_file
from sr_train.checkpoint import load_generator

__all__ = ["correct"]

# The PSNR against the CPU's 8-bit picture: rounding to half precision stays above the first.
# Rounding to TF32's 10 bits, which no fp32 model may do, stays below the second.
MIN_PSNR = {"fp16": 45.0, "bf16": 45.0, "fp32": 70.0}
# A single step of one pixel stays below this.
IDENTICAL = 140.0
FP32, FIXED = "an fp32 file", "a file of fixed shape"
THREADS = 2
# Tiles of the file of fixed shape.
SIDE = 64
# What is left to a model when the rest of the GPU's memory is taken.
SPARE = 512 << 20

Photo = NDArray[np.uint8]
Load = Callable[[], Upscaler]
Measure = Callable[[Upscaler], dict[str, Any]]
"""Returns the arguments of `against`, and more columns of the row."""


def correct(run: Run) -> Found:
    """Rows by backend and case, each with its PSNR and the least that is right."""
    photo = run.photo_of(*run.sizes.checked)
    models = {"the embedded model": model_file(DEFAULT)}
    run.attempt(FP32, lambda: models.update({FP32: _fp32_file(run)}))
    run.attempt(FIXED, lambda: models.update({FIXED: _fixed_file(run)}))
    wanted = {}
    for name, model in models.items():
        with sr_runtime.load(model, backend="onnxruntime", device="cpu", precision="fp32") as cpu:
            wanted[name] = cpu.upscale(photo)
    on_gpu = run.device.type == "cuda"
    for backend, device in working_backends(run):
        for name, model in models.items():
            if name != FP32 or _computes_fp32(backend, device):
                load = partial(sr_runtime.load, model, backend=backend, device=device)
                yield f"{backend}: {name}", _row(load, partial(_picture, photo, wanted[name]))
        load = partial(sr_runtime.load, DEFAULT, backend=backend, device=device)
        yield f"{backend}: {THREADS} threads", _row(load, partial(_threads, photo))
        if on_gpu:
            yield f"{backend}: little memory", _row(load, partial(_little_memory, run, load))
    if not on_gpu:
        run.leave_out("little memory", "the memory of a CPU cannot be taken away from a model")


def _computes_fp32(backend: str, device: str) -> bool:
    rows = [row for row in registry.rows(backend) if device.startswith(row.kind)]
    return "fp32" in rows[0].load().precisions()


def _fp32_file(run: Run) -> Path:
    file = run.cache / "embedded-fp32.onnx"
    write_onnx(load_generator(checkpoint_file(DEFAULT)), file, io="float32", precision="fp32")
    return file


def _fixed_file(run: Run) -> Path:
    return fixed_shape(model_file(DEFAULT), run.cache / "embedded-fixed.onnx", SIDE)


def _row(load: Load, measure: Measure) -> dict[str, Any]:
    """The measurement, its time, and whether it is right; a failure does not end the part."""
    start = time.monotonic()
    try:
        with load() as upscaler:
            precision = upscaler.backend.compute_dtype
            found = measure(upscaler)
    except Exception as error:
        return {"right": False, "failed": reason_of(error)}
    got, wanted = (found.pop(key) / np.float32(255) for key in ("got", "wanted"))
    row = against(got, wanted, least=found.pop("least", MIN_PSNR[precision]))
    return {**row, "precision": precision, **found, "seconds": time.monotonic() - start}


def _picture(photo: Photo, wanted: Photo, upscaler: Upscaler) -> dict[str, Any]:
    return {"got": upscaler.upscale(photo), "wanted": wanted}


def _threads(photo: Photo, upscaler: Upscaler) -> dict[str, Any]:
    """Several threads on one upscaler get what one thread gets."""
    photos = [np.roll(photo, 17 * number, axis=1) for number in range(2 * THREADS)]
    alone = [upscaler.upscale(photo) for photo in photos]
    with ThreadPoolExecutor(THREADS) as threads:
        together = list(threads.map(upscaler.upscale, photos))
    return {"got": np.stack(together), "wanted": np.stack(alone), "least": IDENTICAL}


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
    tiles = [f"{height}×{width}" for height, width in (before, upscaler.max_tile)]
    del taken
    torch.cuda.empty_cache()
    with load() as afresh:
        found = {"got": small, "wanted": afresh.upscale(photo)}
    return {**found, "tile_before": tiles[0], "tile_after": tiles[1], "warnings": len(told)}
