"""Whether a process is still there: for tests of what must not outlive what."""

import os
import sys
from pathlib import Path

__all__ = ["is_running"]


def is_running(process: int) -> bool:
    """Whether a process has not ended. A zombie has: only its parent has not asked for its code."""
    try:
        os.kill(process, 0)
        return sys.platform != "linux" or ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
