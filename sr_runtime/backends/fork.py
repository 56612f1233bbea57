"""A process that is forked after an engine was opened.

The child has the engine's memory but none of its threads: it would wait for them for ever, when it
uses the engine, when it frees it, and even when it ends.
"""

import ctypes
import os
from typing import Any
from weakref import WeakSet

from sr_runtime.errors import BackendError

__all__ = ["check_not_forked", "keep_in_children", "used_before_fork", "using"]

_kept: WeakSet[Any] = WeakSet()
_used: dict[str, int] = {}  # the process that first used OpenVINO, and each kind of device


def keep_in_children(engine: object) -> None:
    """Let forked processes never free an engine, or what it is made with."""
    _kept.add(engine)
    _used.setdefault("cpu", os.getpid())


def using(kind: str) -> None:
    """Note that this process uses OpenVINO, or a kind of device: "openvino", "cuda"."""
    _used.setdefault(kind, os.getpid())


def used_before_fork(kind: str) -> bool:
    """Whether OpenVINO or devices of this kind cannot be used here, because a parent uses them.

    ONNX Runtime opens a model on the CPU in a child as in any process. GPUs do not survive a fork.
    """
    return kind != "cpu" and _used.get(kind, os.getpid()) != os.getpid()


def check_not_forked(opened_in: int) -> None:
    """Raise BackendError if an engine was opened in another process than this one."""
    if opened_in != os.getpid():
        raise BackendError(
            "the model was loaded before this process was forked, and engines do not survive a "
            "fork: load it in each process"
        )


def _prepare_child() -> None:
    if not _used:
        return
    for engine in _kept:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(engine))
    # When a process ends, the destructors of C++ wait for threads that are not there; glibc does in
    # `pthread_cond_destroy`. This comes before them, after Python's own end, and writes what C has
    # buffered; what is registered last is called first.
    c_library = ctypes.CDLL(None)
    if hasattr(c_library, "on_exit"):  # glibc
        c_library.on_exit(c_library._exit, None)
        c_library.__cxa_atexit(c_library.fflush, None, None)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_prepare_child)
