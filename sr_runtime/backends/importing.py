"""How the engines' libraries are imported: they report nothing, and lose no Ctrl-C."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sr_runtime.signals import signals_held_back

__all__ = ["importing_an_engine"]


@contextmanager
def importing_an_engine() -> Iterator[None]:
    """Import OpenVINO or ONNX Runtime in the block.

    Both report over the network that they are used, which an upscaler of private photos does not.
    OpenVINO does so in a process that it forks while other threads load libraries, which can abort
    that process with a message on standard error. A program that imported them before decides.

    OpenVINO also drops every exception in some of its imports, a KeyboardInterrupt for instance.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    modules: dict[str, Any] = sys.modules
    name = "openvino_telemetry"
    hidden = name not in modules
    if hidden:
        modules[name] = None  # so that importing it is an ImportError, which OpenVINO expects
    try:
        with signals_held_back(lambda: None):
            yield
    finally:
        if hidden:
            del modules[name]
