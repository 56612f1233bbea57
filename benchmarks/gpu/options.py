"""The network in ONNX Runtime's CUDA provider: which options, tiles, batches and shapes are fast.

The session is bare, and its input and output stay on the device: what is measured is kernels.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.gpu.network import fixed_shape
from benchmarks.gpu.peak import best
from benchmarks.gpu.run import Found, Run
from sr_runtime.backends.choice import choose

__all__ = ["options"]

# What is changed of the options that the backend sets, one at a time.
OPTIONS: tuple[Mapping[str, object], ...] = (
    *({"prefer_nhwc": 0}, {"prefer_nhwc": 1}, {"fuse_conv_bias": 0}, {"fuse_conv_bias": 1}),
    {"cudnn_conv_algo_search": "EXHAUSTIVE"},
    {"cudnn_conv_algo_search": "DEFAULT"},
)
GRAPH = {"enable_cuda_graph": 1}
BATCHES = (1, 2, 4)
LARGEST = 1 << 20  # LR pixels: with twice as many, tensors have 2³¹ values
MEMORY_SHARE = 0.8  # of the free memory, as the backend has it
TURNS = 3  # each of two changes of the shape, which may take seconds

Step = Callable[[], object]
"""Runs a session once."""


def options(run: Run) -> Found:
    """Rates and the price of another shape by option; rates by tile, by batch, and of a graph."""
    choose("onnxruntime", str(run.device))  # BackendError where it does not work
    # The tile is large enough to fill a GPU.
    model, side = run.onnx_file("uint8"), run.sizes.tiles[1]
    trials: list[tuple[str, Path, Mapping[str, object]]] = []
    if run.device.type == "cpu":
        run.leave_out("options and recorded graphs", "they are the CUDA provider's")
    else:
        trials += [(" ".join(map(str, *changes.items())), model, changes) for changes in OPTIONS]
        fixed = fixed_shape(model, run.folder / "fixed.onnx", side)
        trials.append(("recorded as a graph", fixed, GRAPH))
    for name, file, changes in trials:
        if row := run.attempt(name, partial(_trial, run, file, changes, side)):
            yield name, row
    session = _session(run, model, {})
    for tile in run.sizes.tiles:
        for batch in BATCHES:
            name = f"own options, {batch}×{tile}×{tile}"
            if batch * tile**2 <= LARGEST and (
                row := run.attempt(name, partial(_rate, run, session, tile, batch))
            ):
                yield name, row
    yield from _another_shape(run, session, side).items()


def _trial(run: Run, model: Path, changes: Mapping[str, object], side: int) -> dict[str, float]:
    session = _session(run, model, changes)
    row = _rate(run, session, side)
    return row if changes is GRAPH else row | _another_shape(run, session, side)


def _rate(run: Run, session: Any, tile: int, batch: int = 1) -> dict[str, float]:
    seconds = best(run, _step(run, session, tile, batch))
    return {"lr_mp_per_second": batch * tile**2 / seconds / 1e6, "milliseconds": 1e3 * seconds}


def _another_shape(run: Run, session: Any, side: int) -> dict[str, float]:
    """What a change of the shape adds to a run: two shapes in turn, against each of them alone."""
    sides = side, side * 7 // 8
    steps = [_step(run, session, side, 1) for side in sides]
    alone = sum(best(run, step) for step in steps)
    start = time.perf_counter()
    for _ in range(TURNS):
        for step in steps:
            step()
    added = ((time.perf_counter() - start) / TURNS - alone) / len(steps)
    pixels = sum(side**2 for side in sides)
    return {
        "milliseconds_a_change_of_shape": 1e3 * added,
        "lr_pixels_a_change_of_shape": added * pixels / alone,
    }


def _session(run: Run, model: Path, changes: Mapping[str, object]) -> Any:
    """A session with the provider's options as the backend sets them, but for these changes."""
    from sr_runtime.backends.onnxruntime.providers import cuda_providers
    from sr_runtime.backends.onnxruntime.session import Provider, open_session, ort

    providers: list[Provider] = [("CPUExecutionProvider", {})]
    if run.device.type == "cuda":
        memory = int(MEMORY_SHARE * torch.cuda.mem_get_info(run.device)[0])
        ordinal = run.device.index or 0
        (name, own), cpu = cuda_providers(ordinal, fp32=False, memory=memory, graph=False)
        providers = [(name, {**own, **changes}), cpu]
    options = ort.SessionOptions()
    options.enable_mem_pattern = "enable_cuda_graph" in changes  # as in the backend
    return open_session(model, providers, options)


def _step(run: Run, session: Any, tile: int, batch: int) -> Step:
    """Runs once with a batch of that shape, from device memory to device memory, and waits."""
    from sr_runtime.backends.onnxruntime.session import ort

    where = (run.device.type, run.device.index or 0)
    pixels = np.repeat(run.photo_of(tile, tile)[np.newaxis], batch, 0)
    binding = session.io_binding()
    binding.bind_ortvalue_input("input", ort.OrtValue.ortvalue_from_numpy(pixels, *where))
    side = run.generator.scale_factor * tile
    for name, shape, dtype in (
        ("output", (batch, side, side, 3), np.uint8),
        ("finite", (batch,), np.bool_),
    ):
        value = ort.OrtValue.ortvalue_from_shape_and_type(shape, dtype, *where)
        binding.bind_ortvalue_output(name, value)
    return partial(session.run_with_iobinding, binding)
