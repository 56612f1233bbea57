"""Engines of a tiny model on a simulated GPU: built, opened, and compared with onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.backends import registry
from sr_runtime.backends.base import infer
from sr_runtime.backends.onnxruntime.cpu import OnnxRuntimeBackend
from sr_runtime.backends.tensorrt.engine_file import write_engine
from sr_runtime.backends.tensorrt.options import BuildOptions, Profile
from tests.simulated_tensorrt import simulated_kind

__all__ = ["batches", "engine_file", "expected", "open_engine", "same_in_flight"]

PROFILE = Profile.parse("1x16x16", "2x48x48", "4x96x96")


def engine_file(model: Path, folder: Path, profile: Profile = PROFILE, **options: Any) -> Path:
    """Build an engine in the machine that is simulated now."""
    from sr_runtime.backends.tensorrt.build import build_engine

    options.setdefault("kind", simulated_kind())
    path = folder / "tiny.engine"
    write_engine(path, *build_engine(model, BuildOptions(profile=profile, **options)))
    return path


def open_engine(path: Path, device: str = "cuda:0") -> Any:
    (row,) = registry.rows(simulated_kind())
    return row.load()(path, device=device, precision="fp16")


def expected(model: Path, batch: NDArray[Any]) -> NDArray[Any]:
    backend = OnnxRuntimeBackend(model, device="cpu", precision="fp32")
    return infer(backend, batch)


def batches(io: str, *shapes: tuple[int, int, int]) -> list[NDArray[Any]]:
    random = np.random.default_rng(0)
    if io == "uint8":
        return [random.integers(0, 256, (n, h, w, 3), np.uint8) for n, h, w in shapes]
    return [random.random((n, 3, h, w), np.float32) for n, h, w in shapes]


def same_in_flight(backend: Any, inputs: list[NDArray[Any]], model: Path) -> bool:
    """Whether every output is right, with two batches in flight throughout."""
    pending, right = [], []

    def take_one() -> None:
        handle, batch = pending.pop(0)
        right.append(np.array_equal(handle.result(), expected(model, batch)))
        handle.release()

    for batch in inputs:
        if len(pending) == backend.limits.depth:
            take_one()
        mine = batch.copy()
        pending.append((backend.submit(mine), batch))
        mine[:] = 0  # the caller's array is its own again
    while pending:
        take_one()
    return all(right)
