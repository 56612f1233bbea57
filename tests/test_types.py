"""Type checkers find the packages, and their types, from outside the clone."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import numpy as np

import sr_export
import sr_runtime
import sr_train

with sr_runtime.load() as upscaler:
    reveal_type(upscaler.upscale(np.zeros((4, 4, 3), np.uint8)))
"""


@pytest.mark.slow
def test_a_program_elsewhere_is_checked_against_the_installed_types(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", "cache", "program.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "numpy.ndarray" in done.stdout
