"""The machine that a benchmark ran on."""

import platform
import sys
from pathlib import Path

from sr_runtime.errors import BackendError

__all__ = ["processor", "require_peak_memory"]


def processor() -> str:
    """The processor's name, or as much as the system reveals."""
    try:
        facts = Path("/proc/cpuinfo").read_text()
    except OSError:
        facts = ""
    name = facts.partition("model name\t: ")[2].partition("\n")[0]  # ARM's kernels give none
    return name or platform.processor() or platform.machine()


def require_peak_memory() -> None:
    """Raise BackendError where the system does not tell a process's peak memory."""
    if sys.platform == "win32":
        raise BackendError("Windows does not report a process's peak memory: use Linux or macOS")
