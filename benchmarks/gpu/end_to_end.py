"""Array to array and file to file: the speed that a user sees, against that of the bare engine."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from numpy.typing import NDArray

import sr_runtime
from benchmarks.gpu.engines import Engine, open_engines
from benchmarks.gpu.environment import utilization
from benchmarks.gpu.parity import TORCH
from benchmarks.gpu.run import Found, Run
from benchmarks.gpu.stream import stream
from benchmarks.peers import torch_tile_loop
from sr_runtime.cli.batch import run_jobs
from sr_runtime.cli.jobs import plan_jobs
from sr_runtime.errors import BackendError
from sr_runtime.output_size import OutputSize
from sr_runtime.tensor import tensor_from_tiles

__all__ = ["folder", "several_gpus", "whole_photo"]

LOOP = f"{TORCH}, tile loop"
COMPILED = f"{LOOP}, compiled"
# Seconds that compiling one block for the shapes of the loop's tiles may take.
COMPILE_SECONDS = 60
QUALITY = 95  # of the folder's JPEGs
PADDING = 10  # of the loop's tiles: Real-ESRGAN's default
SAMPLED = 4  # one pixel in so many is compared: comparing all would take longer than making them

Photo = NDArray[np.uint8]


def whole_photo(run: Run) -> Found:
    """Upscale a photo, array to array, with every engine and the plain PyTorch loop in turn."""
    photo = run.photo_of(*run.sizes.photo)
    contenders: dict[str, Callable[[Photo], Photo]] = {LOOP: _loop(run, run.to_device())}
    if run.device.type == "cpu" or run.left() < COMPILE_SECONDS:
        run.leave_out(
            COMPILED, "compiling takes a minute, which is kept for GPUs and for more --minutes"
        )
    else:
        contenders[COMPILED] = _loop(run, _compiled(run))
    contenders |= {engine.name: engine.upscaler.upscale for engine in open_engines(run)}
    pictures: dict[str, Photo] = {}

    def warm_up(name: str) -> None:
        pictures[name] = contenders[name](photo)[::SAMPLED, ::SAMPLED].copy()

    warmed = [name for name in contenders if run.attempt(name, partial(warm_up, name))]
    works = {name: partial(contenders[name], photo) for name in warmed}
    for seconds in _in_turn(run, works, what="the photo from array to array"):
        for name, times in seconds.items():
            row: dict[str, Any] = {"lr_mp_per_second": _rate(photo[..., 0].size, times)}
            row["seconds"] = times
            if LOOP in seconds:
                row["times_the_loop"] = _median_ratio(seconds[LOOP], times)
                difference = pictures[name].astype(np.int16) - pictures[LOOP]
                row["mean_difference_from_the_loop"] = float(np.abs(difference).mean())
            yield name, row


def folder(run: Run) -> Found:
    """Upscale JPEGs, file to file, in turn with the bare engine on the same batches.

    The bare engine also runs one shape alone: the difference is what a change of shape costs.
    """
    engine = _fastest(run)
    source = run.folder / "photos"
    source.mkdir()
    for number, (height, width) in enumerate(run.sizes.files):
        photo = np.roll(run.photo_of(height, width), 37 * number, axis=(0, 1))
        PIL.Image.fromarray(photo).save(source / f"{number:02}.jpg", quality=QUALITY)
    pixels = sum(height * width for height, width in run.sizes.files)
    batches = list(_batches(engine, run))
    largest = max(batches, key=lambda batch: batch.size)
    alone = [largest] * math.ceil(sum(batch.size for batch in batches) / largest.size)
    contenders: dict[str, Callable[[], Any]] = {
        "folder": partial(_upscale_folder, engine, source, run.folder / "large"),
        "bare": partial(stream, engine.upscaler.backend, batches),
        "one shape": partial(stream, engine.upscaler.backend, alone),
    }
    contenders["bare"]()
    with utilization(run) as busy:  # not while the clock runs: sampling takes time too
        contenders["folder"]()
    computed = sum(batch.size // run.generator.in_channels for batch in batches)
    of_one_shape = sum(batch.size // run.generator.in_channels for batch in alone)
    yield "engine", engine.name
    yield "files", len(run.sizes.files)
    yield "gpu_utilization_median", statistics.median(busy) if busy else None
    for seconds in _in_turn(run, contenders, what="the folder"):
        yield "seconds", seconds
        yield "lr_mp_per_second", _rate(pixels, seconds["folder"])
        yield "lr_mp_computed_per_second", _rate(computed, seconds["folder"])
        yield "bare_lr_mp_per_second", _rate(computed, seconds["bare"])
        yield "one_shape_lr_mp_per_second", _rate(of_one_shape, seconds["one shape"])
        yield "of_bare", _median_ratio(seconds["bare"], seconds["folder"])


def several_gpus(run: Run) -> Found:
    """Upscale the photo on all GPUs together and on one of them, in turn."""
    count = torch.cuda.device_count()
    if run.device.type == "cpu" or count < 2:
        raise BackendError(f"this needs two GPUs or more, and {count} can be used here")
    engine = _fastest(run)
    photo = run.photo_of(*run.sizes.photo)
    devices = ",".join(f"cuda:{ordinal}" for ordinal in range(count))
    backend = engine.upscaler.backend.name
    with sr_runtime.load(engine.model, backend=backend, device=devices) as together:
        together.upscale(photo)
        one, all_of_them = engine.upscaler.upscale, together.upscale
        contenders = {"one": partial(one, photo), devices: partial(all_of_them, photo)}
        yield "engine", engine.name
        for seconds in _in_turn(run, contenders, what="several GPUs"):
            yield "seconds", seconds
            yield "times_one", _median_ratio(seconds["one"], seconds[devices])


def _in_turn(
    run: Run, contenders: Mapping[str, Callable[[], Any]], *, what: str
) -> Iterator[dict[str, list[float]]]:
    """After every round, the seconds of each contender in all rounds so far."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in run.rounds(what):
        for name, work in contenders.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
        yield seconds


def _upscale_folder(engine: Engine, source: Path, target: Path) -> None:
    jobs = plan_jobs([source], target, label="x4", format="jpg")
    if failures := run_jobs(engine.upscaler, jobs, size=OutputSize(), show_progress=False):
        raise failures[0].error


def _loop(run: Run, generator: Any) -> Callable[[Photo], Photo]:
    return partial(torch_tile_loop, generator, tile=run.sizes.loop_tile, tile_pad=PADDING)


def _compiled(run: Run) -> Any:
    """Compile block by block: blocks share compiled code, the whole network would take minutes."""
    generator = run.to_device()
    for block in getattr(generator, "body", ()):
        block.compile()
    return generator


def _fastest(run: Run) -> Engine:
    """The engine that was fastest with the photo; BackendError if none has run."""
    rows = run.results.get("whole_photo", {})
    engines = [engine for engine in open_engines(run) if engine.name in rows]
    if not engines:
        raise BackendError("no engine has upscaled the photo")
    return max(engines, key=lambda engine: float(rows[engine.name]["lr_mp_per_second"]))


def _batches(engine: Engine, run: Run) -> Iterator[NDArray[Any]]:
    """The batches of tiles into which the upscaler cuts the folder's photos."""
    upscaler, limits = engine.upscaler, engine.upscaler.backend.limits
    made: dict[tuple[tuple[int, int], int], NDArray[Any]] = {}
    for size in run.sizes.files:
        plan = upscaler.plan(*size)
        for begin in range(0, len(plan), limits.batch):
            rest = limits.batch if limits.fixed_batch else len(plan) - begin
            key = (plan.shape, min(limits.batch, rest))
            if key not in made:
                tile = run.photo_of(*plan.shape)
                tiles = [tile] * key[1]
                made[key] = tensor_from_tiles(tiles, upscaler.info, pixels=limits.pixels)
            yield made[key]


def _rate(pixels: int, seconds: list[float]) -> float:
    return pixels / statistics.median(seconds) / 1e6


def _median_ratio(slow: list[float], fast: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))
