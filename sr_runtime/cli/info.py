"""What the command `info` prints: what works on this machine, and facts of models and engines."""

import platform
import sys
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import numpy as np

from sr_runtime.backends import registry
from sr_runtime.backends.base import Backend
from sr_runtime.backends.cuda.driver import open_device
from sr_runtime.backends.probe.facts import WHY_ASSUMED
from sr_runtime.backends.tensorrt.engine_file import EngineInfo
from sr_runtime.backends.tensorrt.options import CARDS, NAMES
from sr_runtime.embedded import DEFAULT, EMBEDDED
from sr_runtime.errors import BackendError
from sr_runtime.model_info import ModelInfo
from sr_runtime.tensor import tensor_from_tiles
from sr_runtime.upscaler import Upscaler

__all__ = ["backends_lines", "engine_lines", "facts_lines", "running_lines"]


def backends_lines() -> list[str]:
    """Which backend is for which hardware, and whether it works here, or why not; our models."""
    lines = [
        f"{'platform':<18}{platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}",
        f"{'embedded models':<18}{', '.join(EMBEDDED)} (default: {DEFAULT})",
        "",
        'Backends, in the order in which "auto" takes them:',
    ]
    for row in registry.BACKENDS:
        lines += [
            f"{row.name:<18}for {row.hardware} (extra {row.extra})",
            f"{'':<18}{_state(row)}",
            f"{'':<18}tested {row.tested}",
        ]
    return lines


def _state(row: registry.BackendRow) -> str:
    try:
        backend = row.load()
        devices, precisions = backend.devices(), backend.precisions()
    except BackendError as error:
        return f"does not work here: {error}"
    return f"works here on {', '.join(devices)} in {' or '.join(precisions)}"


def facts_lines(model: Path, info: ModelInfo) -> list[str]:
    """The facts of a model file, or of a blend, which has none."""
    facts = {field.name: getattr(info, field.name) for field in fields(ModelInfo)}
    measured, assumed = facts.pop("measured"), facts.pop("assumed")
    if info.blend is None:
        del facts["blend"]
        lines = [f"{'file':<18}{model} ({model.stat().st_size / 1e6:.1f} MB)"]
    else:
        lines = [f"{'made of':<18}psnr and esrgan, which come with the package"]
    not_stated = "default"  # a file of ours need not state it
    if measured:
        not_stated = "assumed"
        del facts["schema"]
    for name, value in facts.items():
        note = "measured" if name in measured else not_stated if name in assumed else "stated"
        known = "not known" if value in (None, "unknown") else f"{value}  ({note})"
        lines.append(f"{name:<18}{known}")
    if measured:
        lines += [f"{'':<18}{why}" for fact, why in WHY_ASSUMED.items() if fact in assumed]
    if info.tile_error > 1:
        lines.append(f"{'':<18}tiles change the result by about {info.tile_error}/255")
    return lines


def engine_lines(info: EngineInfo) -> list[str]:
    """The GPUs that an engine is good for, the library that built it, and the shapes it takes."""
    version = "or another version of it" if info.version_compatible else "and no other version"
    first, *others = _gpus_of(info)
    least, best, most = info.profile.min, info.profile.opt, info.profile.max
    return [
        f"{'built by':<18}{NAMES[info.kind]} {info.tensorrt}; it needs that {version}",
        f"{'for GPUs':<18}{first}",
        *(f"{'':<18}{other}" for other in others),
        f"{'batches':<18}{least} to {most} (batch, height, width), tuned for {best}",
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
        "none": [f"{info.gpu} alone"],
        "same": [f"of compute capability {info.compute_capability}"],
        "ampere+": ["of compute capability 8.0 and above"],
    }[info.hardware_compatible]


def running_lines(upscaler: Upscaler) -> list[str]:
    """How an open model runs here, and the memory that its tiles take."""
    backend = upscaler.backend
    lines = [f"{'runs on':<18}{backend.name}, {backend.device}, {backend.compute_dtype}"]
    lines += [f"{'':<18}{note}" for note in backend.notes]
    height, width = upscaler.max_tile
    lines.append(
        f"{'largest tile':<18}{height}×{width}, including a halo of {upscaler.halo} on each side"
    )
    lines.append(f"{'memory of a tile':<18}{_memory_text(backend, height, width)}")
    return lines


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
