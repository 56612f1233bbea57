"""The machine that a benchmark ran on."""

import platform
from pathlib import Path

__all__ = ["processor"]


def processor() -> str:
    """The processor's name, or as much as the system reveals."""
    try:
        facts = Path("/proc/cpuinfo").read_text()
    except OSError:
        facts = ""
    name = facts.partition("model name\t: ")[2].partition("\n")[0]  # ARM's kernels give none
    return name or platform.processor() or platform.machine()
