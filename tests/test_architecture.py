"""The packages import in one direction only, and the runtime stands alone."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_import_contracts_of_setup_cfg_hold() -> None:
    program = "from importlinter.cli import lint_imports_command as lint; lint()"
    done = subprocess.run(
        [sys.executable, "-c", program, "--config", "setup.cfg", "--no-cache"],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    "module", ["sr_runtime.__main__", "sr_runtime.evaluation.metrics", "sr_runtime.cli.info"]
)
def test_the_runtime_needs_no_torch_and_no_onnx(module: str) -> None:
    program = f"""
import sys
for name in ("torch", "onnx", "onnxscript", "safetensors", "scipy", "cv2"):
    sys.modules[name] = None  # importing it fails
import {module}
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


@pytest.mark.slow
def test_networks_and_checkpoints_need_torch_and_safetensors_alone() -> None:
    program = """
import sys
for name in ("onnx", "onnxscript", "onnxruntime", "openvino", "albumentations", "matplotlib"):
    sys.modules[name] = None
import sr_train.models, sr_train.checkpoint
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
