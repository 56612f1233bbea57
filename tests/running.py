"""What is still running: for tests of what must not outlive what."""

import os
import sys
import threading
from pathlib import Path

from tqdm import TMonitor

__all__ = ["is_running", "own_threads"]


def is_running(process: int) -> bool:
    """Whether a process has not ended. A zombie has: only its parent has not asked for its code."""
    try:
        os.kill(process, 0)
        return sys.platform != "linux" or ") Z " not in Path(f"/proc/{process}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def own_threads() -> set[threading.Thread]:
    """This process's threads but the one that tqdm starts with its first bar and keeps."""
    return {thread for thread in threading.enumerate() if not isinstance(thread, TMonitor)}
