"""Array to array and file to file: the speed that a user sees, against that of the bare engine."""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from benchmarks.gpu.engines import open_engines
from benchmarks.gpu.parity import TORCH
from benchmarks.gpu.run import Found, Run
from benchmarks.gpu.stream import stream
from benchmarks.plain_torch import torch_tile_loop
from sr_runtime import Upscaler
from sr_runtime.batch.run import run_jobs
from sr_runtime.cli.names import Naming
from sr_runtime.cli.pipes import Pipes
from sr_runtime.cli.plan import plan_jobs
from sr_runtime.embedded import DEFAULT
from sr_runtime.errors import BackendError
from sr_runtime.output_size import OutputSize
from sr_runtime.tensor import tensor_from_tiles

__all__ = ["folder", "whole_photo"]

LOOP = f"{TORCH}, tile loop"
QUALITY = 95  # of the folder's JPEGs
PADDING = 10  # of the loop's tiles: Real-ESRGAN's default
SAMPLED = 4  # one pixel in so many is compared: comparing all would take longer than making them

Photo = NDArray[np.uint8]


def whole_photo(run: Run) -> Found:
    """Upscale a photo, array to array, with every engine and the plain PyTorch loop in turn."""
    photo = run.photo_of(*run.sizes.photo)
    loop = partial(
        torch_tile_loop, run.to_device(), tile=run.sizes.loop_tile, tile_pad=PADDING
    )  # fmt: skip
    contenders: dict[str, Callable[[Photo], Photo]] = {LOOP: loop}
    contenders |= {engine.name: engine.upscaler.upscale for engine in open_engines(run)}
    pictures: dict[str, Photo] = {}

    def warm_up(name: str) -> bool:
        pictures[name] = contenders[name](photo)[::SAMPLED, ::SAMPLED].copy()
        return True

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
    """Upscale JPEGs, file to file, in turn with the bare engine on the same batches."""
    name, upscaler = _fastest(run)
    source = run.folder / "photos"
    source.mkdir()
    for number, (height, width) in enumerate(run.sizes.files):
        photo = np.roll(run.photo_of(height, width), 37 * number, axis=(0, 1))
        PIL.Image.fromarray(photo).save(source / f"{number:02}.jpg", quality=QUALITY)
    batches = list(_batches(upscaler, run))
    works: dict[str, Callable[[], Any]] = {
        "from file to file": partial(_upscale_folder, upscaler, source, run.folder / "large"),
        "bare, the same batches": partial(stream, upscaler.backend, batches),
    }
    files, bare = works
    pixels = {
        files: sum(height * width for height, width in run.sizes.files),
        bare: sum(batch.size // run.generator.in_channels for batch in batches),  # with halos
    }
    works[bare]()
    works[files]()
    yield "engine", name
    yield "files", len(run.sizes.files)
    for seconds in _in_turn(run, works, what="the folder"):
        for work, times in seconds.items():
            yield work, {"lr_mp_per_second": _rate(pixels[work], times), "seconds": times}
        yield (
            "share_of_the_bare_engine",
            _median_ratio(seconds[bare], seconds[files]),
        )


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


def _upscale_folder(upscaler: Upscaler, source: Path, target: Path) -> None:
    naming = Naming(model=DEFAULT, scale=upscaler.info.scale, size=OutputSize(), format="jpg")
    plan = plan_jobs([str(source)], str(target), naming, Pipes())
    if failures := run_jobs(upscaler, plan.jobs, size=OutputSize()):
        raise failures[0].error


def _fastest(run: Run) -> tuple[str, Upscaler]:
    """The engine that was fastest with the photo; BackendError if none has run."""
    rates = {name: row["lr_mp_per_second"] for name, row in run.results["whole_photo"].items()}
    engines = {engine.name: engine.upscaler for engine in open_engines(run)}
    if not engines.keys() & rates.keys():
        raise BackendError("no engine has upscaled the photo")
    name = max(engines.keys() & rates.keys(), key=lambda name: float(rates[name]))
    return name, engines[name]


def _batches(upscaler: Upscaler, run: Run) -> Iterator[NDArray[Any]]:
    """The batches of tiles into which the upscaler cuts the folder's photos, shape by shape."""
    limits = upscaler.backend.limits
    made: dict[tuple[tuple[int, int], int], NDArray[Any]] = {}
    for plan in sorted((upscaler.plan(*size) for size in run.sizes.files), key=lambda p: p.shape):
        for begin in range(0, len(plan), limits.batch):
            rest = limits.batch if limits.fixed_batch else len(plan) - begin
            key = (plan.shape, min(limits.batch, rest))
            if key not in made:
                tiles = [run.photo_of(*plan.shape)] * key[1]
                made[key] = tensor_from_tiles(tiles, upscaler.info, pixels=limits.pixels)
            yield made[key]


def _rate(pixels: int, seconds: list[float]) -> float:
    return pixels / statistics.median(seconds) / 1e6


def _median_ratio(slow: list[float], fast: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))
