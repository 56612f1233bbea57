"""The network in ONNX Runtime's CUDA provider: which options, tiles, batches and shapes are fast.

The session is bare, and its input and output stay on the device: what is measured is kernels.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu.network import fixed_shape
from benchmarks.gpu.run import Found, Run
from sr_runtime.backends.choice import choose

__all__ = ["options"]

# Changes to the options that the backend gives the provider, one at a time.
OWN = "as the backend sets them"
OPTIONS: Mapping[str, Mapping[str, object]] = {
    OWN: {},
    "prefer_nhwc 0": {"prefer_nhwc": 0},
    "prefer_nhwc 1": {"prefer_nhwc": 1},
    "fuse_conv_bias 0": {"fuse_conv_bias": 0},
    "fuse_conv_bias 1": {"fuse_conv_bias": 1},
    "cudnn_conv_algo_search EXHAUSTIVE": {"cudnn_conv_algo_search": "EXHAUSTIVE"},
}
BATCHES = (1, 2, 4)
LARGEST = 1 << 20  # LR pixels: with twice as many, tensors have 2³¹ values
MEMORY_SHARE = 0.8  # of the free memory, as the backend has it
ALTERNATIONS = 6

Step = Callable[[], object]


def options(run: Run) -> Found:
    """Rates by option; by tile and batch; of a recorded graph; and the price of another shape."""
    choose("onnxruntime", str(run.device))  # BackendError where it does not work
    # The tile is large enough to fill a GPU.
    model, side = run.onnx_file("uint8"), run.sizes.tiles[1]
    on_cpu = run.device.type == "cpu"
    if on_cpu:
        run.leave_out("options and recorded graphs", "they are the CUDA provider's")
    for name, changes in OPTIONS.items():
        if not (on_cpu and changes):
            yield from _measured(run, f"option: {name}", _option, model, changes, side)
    if not on_cpu:
        fixed = fixed_shape(model, run.folder / "fixed.onnx", side)
        recorded = {"enable_cuda_graph": 1}
        yield from _measured(run, "option: recorded as a graph", _option, fixed, recorded, side)
    session = _Session(run, model, {})
    for tile in run.sizes.tiles:
        for batch in BATCHES:
            if batch * tile**2 <= LARGEST:
                name = f"shape: {batch}×{tile}×{tile}"
                yield from _measured(run, name, _rate, session, tile, batch)
    yield from _measured(run, "another shape", _another_shape, session, side)


def _measured(
    run: Run, name: str, measure: Callable[..., Mapping[str, float]], *arguments: object
) -> Found:
    found: dict[str, float] = {}
    if run.attempt(name, lambda: found.update(measure(run, *arguments))):
        yield name, found


def _option(run: Run, model: Path, changes: Mapping[str, object], side: int) -> dict[str, float]:
    return _rate(run, _Session(run, model, changes), side, 1)


def _rate(run: Run, session: "_Session", tile: int, batch: int) -> dict[str, float]:
    seconds = _seconds(run, session.step(tile, batch))
    return {"lr_mp_per_second": batch * tile**2 / seconds / 1e6, "milliseconds": 1e3 * seconds}


def _another_shape(run: Run, session: "_Session", side: int) -> dict[str, float]:
    """What a change of the shape adds to a run: two shapes in turn, against each of them alone."""
    steps = [session.step(side, 1), session.step(side * 7 // 8, 1)]
    alone = sum(_seconds(run, step) for step in steps)
    start = time.perf_counter()
    for _ in range(ALTERNATIONS):
        for step in steps:
            step()
    both = (time.perf_counter() - start) / ALTERNATIONS
    added = (both - alone) / 2
    pixels = side**2 + (side * 7 // 8) ** 2
    return {
        "one_shape_lr_mp_per_second": pixels / alone / 1e6,
        "alternating_lr_mp_per_second": pixels / both / 1e6,
        "milliseconds_a_change": 1e3 * added,
        "lr_pixels_a_change": added * pixels / alone,
    }


def _seconds(run: Run, step: Step) -> float:
    """Seconds of a run, after those that choose kernels or record them."""
    for _ in range(3):
        step()
    start = time.perf_counter()
    step()
    count = run.repeats(time.perf_counter() - start)
    start = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - start) / count


class _Session:
    """A session of the provider, and runs from device memory to device memory."""

    def __init__(self, run: Run, model: Path, changes: Mapping[str, object]) -> None:
        from sr_runtime.backends.onnxruntime.providers import cuda_providers
        from sr_runtime.backends.onnxruntime.session import Provider, open_session, ort

        self._ordinal = run.device.index or 0
        self._device = run.device.type
        self._scale = run.generator.scale_factor
        self._pixels = run.photo_of
        providers: list[Provider] = [("CPUExecutionProvider", {})]
        if self._device == "cuda":
            memory = int(MEMORY_SHARE * torch.cuda.mem_get_info(run.device)[0])
            (name, own), cpu = cuda_providers(self._ordinal, fp32=False, memory=memory, graph=False)
            providers = [(name, {**own, **changes}), cpu]
        options = ort.SessionOptions()
        options.enable_mem_pattern = "enable_cuda_graph" in changes  # as in the backend
        self._session = open_session(model, providers, options)

    def step(self, tile: int, batch: int) -> Step:
        """Runs once with a batch of that shape, and waits for its end."""
        from sr_runtime.backends.onnxruntime.session import ort

        where = (self._device, self._ordinal)
        pixels = np.repeat(self._pixels(tile, tile)[np.newaxis], batch, 0)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("input", ort.OrtValue.ortvalue_from_numpy(pixels, *where))
        side = self._scale * tile
        for name, shape, dtype in (
            ("output", (batch, side, side, 3), np.uint8),
            ("finite", (batch,), np.bool_),
        ):
            value = ort.OrtValue.ortvalue_from_shape_and_type(shape, dtype, *where)
            binding.bind_ortvalue_output(name, value)
        return partial(self._session.run_with_iobinding, binding)
