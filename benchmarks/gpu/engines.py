"""The network's ONNX files, and the backends that can run them here."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import sr_runtime
from benchmarks.gpu.run import Found, Run
from sr_runtime import Upscaler
from sr_runtime.backends import registry
from sr_runtime.backends.choice import choose
from sr_runtime.errors import SRError
from sr_runtime.model_info import IO

__all__ = ["Engine", "engines", "models", "open_engines", "working_backends"]


@dataclass(frozen=True)
class Engine:
    """An opened backend and its name in the results, "onnxruntime, io uint8" for instance."""

    name: str
    upscaler: Upscaler


def models(run: Run) -> Found:
    """Export the network for both kinds of input and output; later parts take the files."""
    for io in get_args(IO):
        yield f"io {io}", {"MB": run.onnx_file(io).stat().st_size / 1e6}


def engines(run: Run) -> Found:
    """Open every file in every backend; those that build an engine keep it in the cache."""
    for backend, device in working_backends(run):
        for io in get_args(IO):
            name = f"{backend}, io {io}"
            if run.left() < 0:
                run.leave_out(name, "no time was left to open it: give more --minutes")
            elif row := run.attempt(name, partial(_open_once, run.onnx_file(io), backend, device)):
                yield name, {"backend": backend, "device": device, "io": io, **row}


def open_engines(run: Run) -> Iterator[Engine]:
    """Open what the part `engines` could open, until this part ends."""
    for name, row in run.results.get("engines", {}).items():
        model = run.onnx_file(row["io"])
        upscaler = sr_runtime.load(model, backend=row["backend"], device=row["device"])
        run.held.callback(upscaler.close)
        yield Engine(name, upscaler)


def working_backends(run: Run) -> Iterator[tuple[str, str]]:
    """The name and the device of every backend that works here, on GPUs or the CPU as asked."""
    on_cpu = run.device.type == "cpu"
    # Those that open ONNX files at once come before those that first build an engine for minutes.
    for name in sorted(registry.names(), key=_builds_engines):
        kinds = [row.kind for row in registry.rows(name) if (row.kind == "cpu") == on_cpu]
        own = on_cpu or run.device.type in kinds or not kinds
        try:
            chosen = choose(name, str(run.device) if own else "auto")
            for row in registry.rows(name):
                if chosen[1].startswith(row.kind):
                    row.load().check_auto()  # a GPU in software would take hours
        except SRError as error:
            run.leave_out(name, str(error))
        else:
            yield chosen


def _builds_engines(backend: str) -> bool:
    return all("fp16 onnx" not in row.auto for row in registry.rows(backend))


def _open_once(model: Path, backend: str, device: str) -> dict[str, Any]:
    start = time.monotonic()
    with sr_runtime.load(model, backend=backend, device=device) as upscaler:
        limits = upscaler.backend.limits
        return {
            "precision": upscaler.backend.compute_dtype,
            "largest_batch": "×".join(map(str, (limits.batch, *upscaler.max_tile))),
            "batches_in_flight": limits.depth,
            "seconds_to_open": time.monotonic() - start,
        }
