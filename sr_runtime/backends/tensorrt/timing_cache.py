"""TensorRT's measurements of kernels, kept in a file so that the next build is faster."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_runtime.backends.tensorrt.library import Library
from sr_runtime.errors import ArgumentError, StorageError
from sr_runtime.storage.atomic import atomic_path

if TYPE_CHECKING:
    import tensorrt as trt

__all__ = ["load_timings", "save_timings"]


def load_timings(library: Library, config: "trt.IBuilderConfig", path: Path) -> None:
    """Give the builder the measurements in the file, if it exists.

    Raises:
        ArgumentError: It is something else, or of another GPU or version.
        StorageError: It cannot be read.
    """
    content = _read(path)
    # The signatures do not say that this may be None.
    cache: trt.ITimingCache | None = config.create_timing_cache(content)
    empty = _serialized(config.create_timing_cache(b""))
    if (
        cache is None
        # TensorRT takes any other file for an empty cache, and saving would overwrite that file.
        or (content not in (b"", empty) and _serialized(cache) == empty)
        or not config.set_timing_cache(cache, ignore_mismatch=False)
    ):
        raise ArgumentError(
            f"not a timing cache of {library.name} on this GPU: name another file, or "
            "delete this one",
            path=path,
        )


def save_timings(config: "trt.IBuilderConfig", path: Path) -> None:
    """Write the measurements, and keep those that another build added meanwhile."""
    cache = config.get_timing_cache()
    try:
        others: trt.ITimingCache | None = config.create_timing_cache(_read(path))
        if others is not None:
            cache.combine(others, ignore_mismatch=False)
        with atomic_path(path) as temporary:
            temporary.write_bytes(_serialized(cache))
    except StorageError as error:  # the engine, which took minutes, is good
        warnings.warn(f"the timing cache is not kept: {error}", RuntimeWarning, stacklevel=2)


def _serialized(cache: "trt.ITimingCache") -> bytes:
    memory: Any = cache.serialize()
    return bytes(memory)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise StorageError(f"cannot be read ({error.strerror})", path=path) from error
