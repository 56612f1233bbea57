"""`sr-train fit` in processes of its own, which a test signals."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.train.resumable_run import rows

__all__ = ["ROOT", "finish", "interrupt", "start"]

ROOT = Path(__file__).parents[2]


def start(*arguments: str, **variables: str) -> "subprocess.Popen[str]":
    """Start `sr_train fit` in its own process, on one thread."""
    return subprocess.Popen(
        [sys.executable, "-m", "sr_train", "fit", *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: "subprocess.Popen[str]", code: int = 0) -> str:
    """The output of a process that must end with this exit code."""
    output, _ = process.communicate(timeout=300)
    assert process.returncode == code, output
    return output


def interrupt(process: "subprocess.Popen[str]", folder: Path, step: int, number: int) -> None:
    """Send a signal as soon as metrics.csv has `step`."""
    while not any(int(row["step"]) >= step for row in rows(folder)):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.send_signal(number)
