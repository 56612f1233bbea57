"""What the command `info` prints of this machine, of engines, and of how a model runs here."""

import platform
import sys
from contextlib import closing
from pathlib import Path

import numpy as np

import sr_runtime
from sr_runtime.backends import registry
from sr_runtime.backends.base import Backend
from sr_runtime.backends.choice import choose
from sr_runtime.backends.cuda.driver import open_device
from sr_runtime.backends.tensorrt.engine_file import EngineInfo
from sr_runtime.backends.tensorrt.options import CARDS, NAMES
from sr_runtime.backends.tested import recorded
from sr_runtime.cli.rows import Row
from sr_runtime.embedded import DEFAULT, EMBEDDED, NAMED, model_file
from sr_runtime.errors import BackendError
from sr_runtime.model_folder import own_names
from sr_runtime.printable import listed, some
from sr_runtime.tensor import tensor_from_tiles
from sr_runtime.upscaler import Upscaler

__all__ = ["engine_rows", "machine_rows", "running_rows"]


def machine_rows() -> list[Row]:
    """What `upscale` uses here; which backends work, which not and why, and for what they are."""
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    others = [name for name in EMBEDDED if name != DEFAULT]
    own = own_names()
    yours = f"; in your folder of models {some(own, NAMED)}" if own else ""
    rows: list[Row] = [
        ("sr-toolkit", sr_runtime.__version__),
        ("computer", system),
        ("models", f"{DEFAULT} (the default), {listed(others)}{yours}"),
        ("upscale uses", _automatic()),
        ("", ""),
        ("Backends, which run the models; the first that works and suits the model is used:", ""),
    ]
    for row in registry.BACKENDS:
        rows += [
            (row.name, _state(row)),
            ("", f"for {row.hardware} (extra {row.extra})"),
            ("", _tested(row)),
        ]
    return rows


def _automatic() -> str:
    try:
        backend, device = choose("auto", "auto", model_file(DEFAULT))
    except BackendError:
        return "nothing yet: no backend works here, for the reasons below"
    return f"{device} (backend {backend}), unless --device or --backend says otherwise"


def _state(row: registry.BackendRow) -> str:
    try:
        backend = row.load()
        devices, precisions = backend.devices(), backend.precisions()
    except BackendError as error:
        return f"does not work here: {error}"
    return f"works here on {', '.join(devices)} in {' or '.join(precisions)}"


def _tested(row: registry.BackendRow) -> str:
    precisions: dict[str, list[str]] = {}
    for one in recorded():
        if (one.backend, one.kind) == (row.name, row.kind):
            precisions.setdefault(f"{one.device} ({one.system})", []).append(one.precision)
    seen = (f"{where} in {' and '.join(found)}" for where, found in precisions.items())
    return f"tested on {', '.join(seen)}" if precisions else "not tested on such hardware yet"


def engine_rows(info: EngineInfo) -> list[Row]:
    """The GPUs that an engine is good for, the library that built it, and the shapes it takes."""
    version = "or another version of it" if info.version_compatible else "and no other version"
    first, *others = _gpus_of(info)
    least, best, most = info.profile.min, info.profile.opt, info.profile.max
    return [
        ("built by", f"{NAMES[info.kind]} {info.tensorrt}; it needs that {version}"),
        ("for GPUs", first),
        *(("", other) for other in others),
        ("batches", f"{least} to {most} (tiles × height × width), fastest at {best}"),
    ]


def _gpus_of(info: EngineInfo) -> list[str]:
    if info.kind == "tensorrt-rtx":
        return [
            f"of compute capability {one} ({CARDS[one]})"
            if one in CARDS
            else f"of compute capability {one}"
            for one in info.compute_capabilities
        ]
    return {
        "none": [f"{info.gpu} only"],
        "same": [f"of compute capability {info.compute_capability}"],
        "ampere+": ["of compute capability 8.0 and above"],
    }[info.hardware_compatible]


def running_rows(upscaler: Upscaler) -> list[Row]:
    """How an open model runs here, and the memory that its tiles take."""
    backend = upscaler.backend
    height, width = upscaler.max_tile
    return [
        ("runs here on", f"{backend.device} in {backend.compute_dtype} (backend {backend.name})"),
        *(("", note) for note in backend.notes),
        (
            "tiles here",
            f"at most {height}×{width} pixels, with {upscaler.halo} of their surroundings on each "
            "side (-t makes them smaller)",
        ),
        ("memory of a tile", _memory_text(backend, height, width)),
    ]


def _memory_text(backend: Backend, height: int, width: int) -> str:
    """Memory of one tile, measured.

    With CUDA by the free memory before and after, on a CPU by how far the peak of the process rises
    from one tile to a larger one. No other kind of device tells how much is free.
    """
    kind = backend.device.partition(":")[0]
    if kind not in ("cpu", "cuda"):
        return f"not measured on {kind}"
    if kind == "cuda":
        with closing(open_device(backend.device.split(",")[0])) as gpu, gpu.current():
            before = gpu.free_memory()
            _infer(backend, height, width)
            free = gpu.free_memory()
        taken = (before - free) / 1e9
        return f"{taken:.2f} GB of {gpu.name} (measured), which leaves {free / 1e9:.1f} GB"
    if sys.platform == "win32":
        return "not measured on Windows"
    if backend.limits.max_tile is not None:
        before = _peak_memory()
        _infer(backend, height, width)
        return f"{(_peak_memory() - before) / 1e9:.2f} GB (measured)"
    smaller: tuple[int, int] | None = None
    for factor in (64, 128, 256, 512, 1024):
        side, before = factor * backend.info.multiple_of, _peak_memory()
        _infer(backend, side, side)
        peak = _peak_memory()
        # Loading took memory too: the peak rises once a tile needs more than that.
        if peak > before:
            if smaller is not None:
                per_pixel = (peak - smaller[1]) / (side**2 - smaller[0] ** 2)
                return f"{per_pixel * height * width / 1e9:.2f} GB (measured up to {side}×{side})"
            smaller = side, peak
    return "less than loading the model took"


def _infer(backend: Backend, height: int, width: int) -> None:
    gray = np.full((height, width, backend.info.in_channels), 128, np.uint8)
    tiles = [gray] * (backend.limits.batch if backend.limits.fixed_batch else 1)
    # `infer` would copy the output, and the copy would be measured too.
    handle = backend.submit(tensor_from_tiles(tiles, backend.info))
    try:
        handle.result()
    finally:
        handle.release()


def _peak_memory() -> int:
    """The peak of this process's memory so far, in bytes."""
    if sys.platform == "linux":
        # getrusage would count the peak of the program that started this one.
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    import resource  # not on Windows

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
