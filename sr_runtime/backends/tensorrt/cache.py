"""Engines built on first use, one for each model, profile, TensorRT version and GPU."""

import contextlib
import os
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from sr_runtime.backends.cuda.driver import open_device
from sr_runtime.backends.tensorrt.engine_file import (
    EngineInfo,
    read_engine,
    sha256,
    write_engine,
)
from sr_runtime.backends.tensorrt.options import DEFAULT_PROFILE, BuildOptions, Profile
from sr_runtime.errors import BackendError, ModelError, OutOfMemoryError
from sr_runtime.lock import wait_for_lock

__all__ = ["CACHE_VARIABLE", "cache_folder", "cached_engine"]

CACHE_VARIABLE = "SR_CACHE"
"""The environment variable that names another folder."""


def cached_engine(
    model: Path, *, device: str, profile: Profile = DEFAULT_PROFILE
) -> tuple[bytes, EngineInfo]:
    """The engine of an FP16 ONNX file for a GPU: the one built before, or a new one.

    Building takes minutes, which a warning says; of several processes one builds and the others
    wait for it.

    Raises:
        ModelError: The file cannot be made into an engine.
        BackendError: The build failed, or the cache cannot be written.
    """
    from sr_runtime.backends.tensorrt.build import build_engine
    from sr_runtime.backends.tensorrt.library import trt

    try:
        digest = sha256(model.read_bytes())
    except OSError as error:
        raise ModelError(f"{model}: cannot be read ({error.strerror or error})") from error
    gpu = open_device(device)
    name, capability = gpu.name, gpu.compute_capability
    gpu.close()
    key = sha256("\n".join((digest, str(profile), trt.__version__, name, capability)).encode())
    engine = cache_folder() / f"{model.stem}-{key[:16]}.engine"
    timings = f"timings-{trt.__version__}-{re.sub('[^A-Za-z0-9]+', '_', name)}.cache"
    with _only_process_at(engine):
        # What is damaged is built anew, as if it were not there.
        with contextlib.suppress(ModelError):
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
                BuildOptions(profile=profile),
                device=device,
                timing_cache=engine.parent / timings,
            )
        except OutOfMemoryError as error:
            raise OutOfMemoryError(
                f"{error}; load the engine that you build so: python -m sr_export engine "
                f"{model.name} -o {model.stem}.engine --opt 1x256x256 --max 1x256x256"
            ) from error
        write_engine(engine, plan, info)
    return plan, info


def cache_folder() -> Path:
    """Where engines are kept: $SR_CACHE, else the system's place for a user's caches."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        return base / "sr-toolkit" / "Cache"
    # Relative ones are to be ignored, says the XDG base directory specification.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "sr-toolkit"


@contextlib.contextmanager
def _only_process_at(engine: Path) -> Iterator[None]:
    """Wait until no other process reads or builds this engine."""
    try:
        engine.parent.mkdir(parents=True, exist_ok=True)
        file = engine.with_suffix(".lock").open("wb")
    except OSError as error:
        raise BackendError(
            f"{engine.parent}: engines cannot be kept here ({error.strerror or error}): set "
            f"{CACHE_VARIABLE} to a folder that can be written"
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
