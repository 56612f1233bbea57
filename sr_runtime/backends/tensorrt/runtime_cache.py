"""The file of an engine's kernels, which TensorRT for RTX compiles on the GPU that runs them.

With it the next process starts at once; without it the kernels are compiled again, for seconds.
"""

import contextlib
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sr_runtime.backends.tensorrt.cache_folder import (
    CACHE_VARIABLE,
    least_recently_used,
    mark_used,
)
from sr_runtime.backends.tensorrt.engine_file import sha256
from sr_runtime.errors import StorageError
from sr_runtime.storage.atomic import atomic_path

__all__ = ["SUFFIX", "RuntimeCache"]

SUFFIX = ".kernels"
# Limit of all such files together; the least recently used ones are deleted.
MAX_BYTES = 512_000_000
CHECKSUM = 64  # characters of a SHA-256
# Kernels of a new shape are compiled in the background; after this time they are saved.
SETTLED_SECONDS = 20.0


class RuntimeCache:
    """Compiled kernels in memory, shared by the contexts of one engine, and their file.

    The file is read when the first context is made, and replaced as a whole, so that a second
    process reads either its old content or its new one. Of two processes that write it, the last
    one wins. Call the methods one at a time, while the device is current.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.monotonic) -> None:
        """Args:
        path: One for each engine, GPU, library and driver: kernels of another are of no use.
        """
        self._path, self._now = path, now
        self._cache: Any = None
        self._saved = ""  # hash of what the file holds
        self._shapes: set[tuple[int, ...]] = set()
        self._settled = 0.0  # when the kernels of the newest shape are compiled
        self._due: float | None = None  # when to save
        self._warned = False

    def attach(self, config: Any) -> None:
        """Let the context that is made with this `IRuntimeConfig` use the kernels."""
        if self._cache is None:
            self._cache = config.create_runtime_cache()
            self._load()
        config.set_runtime_cache(self._cache)

    def _load(self) -> None:
        with contextlib.suppress(OSError):
            checksum, kernels = _split(self._path.read_bytes())
            # False for what is of another library, GPU or driver. Like what is damaged, it is
            # replaced.
            if checksum == sha256(kernels) and self._cache.deserialize(kernels):
                self._saved = checksum
                mark_used(self._path)

    def before_batch(self, shape: tuple[int, ...]) -> None:
        """Save the kernels of new shapes once they are compiled, and not only at the end: a
        process that is killed keeps them."""
        now = self._now()
        if self._due is not None and now >= self._due:
            self.save()
            self._due = self._settled if self._settled > now else None
        if shape not in self._shapes:
            self._shapes.add(shape)
            self._settled = now + SETTLED_SECONDS
            if self._due is None:
                self._due = self._settled

    def save(self) -> None:
        """Write the file if there are new kernels. If that fails, a warning says so, once."""
        if self._cache is None:
            return
        serialized = self._cache.serialize()
        kernels = b"" if serialized is None else bytes(serialized)
        if not kernels or sha256(kernels) == self._saved:
            return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with atomic_path(self._path) as temporary:
                temporary.write_bytes(sha256(kernels).encode() + kernels)
            self._saved = sha256(kernels)
            for path in least_recently_used(self._path.parent, SUFFIX, limit=MAX_BYTES):
                path.unlink(missing_ok=True)
        except (OSError, StorageError) as error:
            if not self._warned:
                warnings.warn(
                    f"compiled kernels are not kept ({error}), so that the next start takes "
                    f"seconds longer: set {CACHE_VARIABLE} to a folder that can be written",
                    RuntimeWarning,
                    stacklevel=2,
                )
            self._warned = True

    def close(self) -> None:
        """Free the kernels; after the contexts that use them."""
        self._cache = None


def _split(content: bytes) -> tuple[str, bytes]:
    """The checksum at the beginning of a file, and the kernels behind it, which are code."""
    return content[:CHECKSUM].decode("latin-1"), content[CHECKSUM:]
