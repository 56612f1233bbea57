"""Engines built on first use, one per model, profile, TensorRT version and GPU."""

import contextlib
import re
import shlex
import warnings
from collections.abc import Iterator
from pathlib import Path

from sr_runtime.backends.cuda.driver import device_facts
from sr_runtime.backends.onnx_metadata import read_fp16_onnx
from sr_runtime.backends.tensorrt.build import build_engine
from sr_runtime.backends.tensorrt.cache_folder import (
    CACHE_VARIABLE,
    cache_folder,
    least_recently_used,
    mark_used,
)
from sr_runtime.backends.tensorrt.engine_file import (
    EngineInfo,
    facts_path,
    read_engine,
    sha256,
    write_engine,
)
from sr_runtime.backends.tensorrt.library import builder_library
from sr_runtime.backends.tensorrt.options import (
    DEFAULT_PROFILE,
    BuildOptions,
    Kind,
    Profile,
    sm_text,
)
from sr_runtime.errors import ModelError, OutOfMemoryError, StorageError
from sr_runtime.storage.lock import open_lock, try_lock, wait_for_lock

__all__ = ["cached_engine"]

# Limit of all engines together: about 100 of RRDBNet. Those of older drivers and libraries, and of
# models that are not used any more, would stay for ever.
MAX_BYTES = 4_000_000_000


def cached_engine(
    model: Path, *, kind: Kind, device: str, profile: Profile = DEFAULT_PROFILE
) -> tuple[bytes, EngineInfo]:
    """The engine of an FP16 ONNX file for a GPU: from the cache, or built now.

    Building takes minutes, or seconds with TensorRT for RTX, and a warning says so. If several
    processes want the same engine, one builds it and the others wait.

    Raises:
        ModelError: No engine can be built from the file.
        BackendError: The build failed.
        OutOfMemoryError: The GPU has too little memory for the profile.
        StorageError: The file cannot be read; or the cache cannot be written, and building takes
            minutes.
    """
    library = builder_library(kind)
    data, _ = read_fp16_onnx(model)
    name, capability = device_facts(device)
    rtx = kind == "tensorrt-rtx"
    # TensorRT tunes an engine for a GPU; TensorRT for RTX builds it for a compute capability.
    target = capability if rtx else f"{name}\n{capability}"
    facts = (sha256(data), str(profile), library.name, target)
    key = sha256("\n".join(facts).encode())[:16]
    engine = cache_folder() / f"{model.stem}-{key}.engine"
    timings = f"timings-{library.version}-{re.sub('[^A-Za-z0-9]+', '_', name)}.cache"
    options = BuildOptions(
        kind=kind, profile=profile, compute_capabilities=(capability,) if rtx else ()
    )
    with contextlib.ExitStack() as held:
        unlocked: StorageError | None = None
        try:
            held.enter_context(_only_process_at(engine))
        except StorageError as error:  # the folder may still be read
            unlocked = error
        # A damaged engine is built again, as if it were missing.
        with contextlib.suppress(ModelError, StorageError):
            found = read_engine(engine)
            mark_used(engine)
            return found
        if unlocked is not None and not rtx:
            raise unlocked
        warnings.warn(
            f"building an engine of {model.name} for {name} with {library.name}: this takes "
            f"{'seconds' if rtx else 'minutes'}, once; it is kept in {engine.parent}",
            RuntimeWarning,
            stacklevel=2,
        )
        try:
            plan, info = build_engine(
                model,
                options,
                device=device,
                timing_cache=None if rtx else engine.with_name(timings),
            )
        except OutOfMemoryError as error:
            cards = f" --for rtx --sm {sm_text([capability])}" if rtx else ""
            raise OutOfMemoryError(
                f"{'the machine' if rtx else device} has too little memory to build an engine with "
                f"--max {profile.max}: build a smaller one, and load that: python -m sr_export "
                f"engine {shlex.quote(str(model))} -o {shlex.quote(model.stem)}.engine "
                f"--opt 1x256x256 --max 1x256x256{cards}",
                path=model,
            ) from error
        try:
            write_engine(engine, plan, info)
            _delete_unused(engine.parent)
        except StorageError as error:  # the engine itself is good
            warnings.warn(
                f"the engine is not kept ({error}), so that the next start builds it again: set "
                f"{CACHE_VARIABLE} to a folder that can be written",
                RuntimeWarning,
                stacklevel=2,
            )
    return plan, info


@contextlib.contextmanager
def _only_process_at(engine: Path) -> Iterator[None]:
    """Hold the engine's lock: wait until no other process reads or builds it."""
    try:
        engine.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = open_lock(engine.with_suffix(".lock"))
    except OSError as error:
        raise StorageError(
            f"engines cannot be stored here ({error.strerror or error}): set {CACHE_VARIABLE} to a "
            "folder that can be written",
            path=engine.parent,
        ) from error
    with file:
        with contextlib.suppress(OSError):  # a drive without locks: two may build the same
            wait_for_lock(
                file.fileno(),
                lambda: warnings.warn(
                    f"another process is building {engine.name}; waiting until it is done",
                    RuntimeWarning,
                    stacklevel=2,
                ),
            )
        yield


def _delete_unused(folder: Path) -> None:
    """Delete the engines that were not used for longest, once all are larger than the limit."""
    for engine in least_recently_used(folder, ".engine", limit=MAX_BYTES):
        lock = engine.with_suffix(".lock")
        with contextlib.suppress(OSError, StorageError), open_lock(lock) as file:
            if try_lock(file.fileno()):  # else another process reads it or builds it
                for path in (engine, facts_path(engine), lock):
                    path.unlink(missing_ok=True)
