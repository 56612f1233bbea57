"""Runs `python -m benchmarks.gpu` for its tests."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["ON_CPU", "ROOT", "benchmark", "started"]

ROOT = Path(__file__).parents[2]
ON_CPU = ["--device", "cpu", "--blocks", "1"]


def started(
    *arguments: str, program: tuple[str, ...] = ("-m", "benchmarks.gpu"), **env: str
) -> Any:
    """Start it in a process of its own, which sees no GPU."""
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=ROOT,
        # One thread: on a busy machine two wait for each other most of the time.
        env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"} | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def benchmark(*arguments: str, **env: str) -> tuple[int, str, str]:
    """Its exit code, and what it printed and complained about."""
    process = started(*arguments, **env)
    said, complained = process.communicate()
    return process.returncode, said, complained
