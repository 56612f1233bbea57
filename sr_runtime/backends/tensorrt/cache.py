"""Engines built on first use, one per model, profile, TensorRT version and GPU."""

import contextlib
import os
import re
import shlex
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from sr_runtime.backends.cuda.driver import open_device
from sr_runtime.backends.onnx_metadata import read_fp16_onnx
from sr_runtime.backends.tensorrt.build import build_engine
from sr_runtime.backends.tensorrt.engine_file import EngineInfo, read_engine, sha256, write_engine
from sr_runtime.backends.tensorrt.library import builder_library
from sr_runtime.backends.tensorrt.options import DEFAULT_PROFILE, BuildOptions, Kind, Profile
from sr_runtime.errors import ModelError, OutOfMemoryError, StorageError
from sr_runtime.lock import wait_for_lock

__all__ = ["CACHE_VARIABLE", "cache_folder", "cached_engine"]

CACHE_VARIABLE = "SR_CACHE"
"""The environment variable that sets another folder."""


def cached_engine(
    model: Path, *, kind: Kind, device: str, profile: Profile = DEFAULT_PROFILE
) -> tuple[bytes, EngineInfo]:
    """The engine of an FP16 ONNX file for a GPU: from the cache, or built now.

    Building takes minutes, and a warning says so. If several processes want the same engine, one
    builds it and the others wait.

    Raises:
        ModelError: No engine can be built from the file.
        BackendError: The build failed.
        OutOfMemoryError: The GPU has too little memory for the profile.
        StorageError: The file cannot be read, or the cache cannot be written.
    """
    library = builder_library(kind)
    data, _ = read_fp16_onnx(model)
    with contextlib.closing(open_device(device)) as gpu:
        name, capability = gpu.name, gpu.compute_capability
    facts = (sha256(data), str(profile), library.name, name, capability)
    key = sha256("\n".join(facts).encode())[:16]
    engine = cache_folder() / f"{model.stem}-{key}.engine"
    timings = f"timings-{library.version}-{re.sub('[^A-Za-z0-9]+', '_', name)}.cache"
    with _only_process_at(engine):
        # A damaged engine is built again, as if it were missing.
        with contextlib.suppress(ModelError, StorageError):
            return read_engine(engine)
        warnings.warn(
            f"building a TensorRT engine of {model.name} for {name}: this takes minutes, once; "
            f"it is kept in {engine.parent}",
            RuntimeWarning,
            stacklevel=2,
        )
        try:
            plan, info = build_engine(
                model,
                BuildOptions(kind=kind, profile=profile),
                device=device,
                timing_cache=engine.parent / timings,
            )
        except OutOfMemoryError as error:
            raise OutOfMemoryError(
                f"{device} has too little memory to build an engine with --max {profile.max}: "
                "build a smaller one, and load that: python -m sr_export engine "
                f"{shlex.quote(str(model))} -o {shlex.quote(model.stem)}.engine "
                "--opt 1x256x256 --max 1x256x256",
                path=model,
            ) from error
        write_engine(engine, plan, info)
    return plan, info


def cache_folder() -> Path:
    """The folder of engines: $SR_CACHE, else in the system's folder for a user's caches."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        return base / "sr-toolkit" / "Cache"
    # The XDG base directory specification says to ignore relative paths.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "sr-toolkit"


@contextlib.contextmanager
def _only_process_at(engine: Path) -> Iterator[None]:
    """Hold the engine's lock: wait until no other process reads or builds it."""
    try:
        engine.parent.mkdir(parents=True, exist_ok=True)
        file = engine.with_suffix(".lock").open("wb")
    except OSError as error:
        raise StorageError(
            f"engines cannot be stored here ({error.strerror or error}): set {CACHE_VARIABLE} to a "
            "folder that can be written",
            path=engine.parent,
        ) from error
    with file:
        with contextlib.suppress(OSError):  # a drive without locks: two may build the same
            wait_for_lock(
                file,
                lambda: warnings.warn(
                    f"another process is building {engine.name}; waiting until it is done",
                    RuntimeWarning,
                    stacklevel=2,
                ),
            )
        yield
