"""What a stranger gets: the built wheel, in an empty environment, upscales a picture."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import PIL.Image
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


# A path to the repository would let pip find the package installed there.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(*command: str | Path) -> str:
    # Not from the repository, whose folders would be imported in place of the installed ones.
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        cwd=Path(command[0]).parent,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_upscales_a_picture_in_an_empty_environment(tmp_path: Path) -> None:
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path / "dist", ROOT)
    (wheel,) = (tmp_path / "dist").glob("sr_toolkit-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        told = archive.read(metadata).decode().splitlines()
        assert "sr_runtime/backends/cuda/pixels.ptx" in archive.namelist()
        assert "sr_runtime/backends/tested.json" in archive.namelist()
        assert "sr_runtime/models/training/psnr.safetensors" in archive.namelist()
    # The weights are not for commercial use, which whoever looks for licences is to find.
    assert "License: Apache-2.0 AND LicenseRef-sr-toolkit-weights" in told
    assert "License-File: sr_runtime/models/LICENSE" in told

    run(sys.executable, "-m", "venv", tmp_path / "venv")
    scripts = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin")
    constraints = ROOT / "constraints.txt"
    run(scripts / "python", "-m", "pip", "install", "-q", "-c", constraints, f"{wheel}[cpu]")

    photo = ROOT / "sr_export" / "calibration" / "coffee.png"
    target = tmp_path / "large.png"
    run(scripts / "sr-upscale", "upscale", photo, "-o", target)
    with PIL.Image.open(target) as large:
        assert large.size == (1024, 1024)
    run(scripts / "python", "-m", "sr_runtime.examples.before_after", "-o", tmp_path / "demo")
    assert (tmp_path / "demo" / "before_after.html").stat().st_size < 3e6

    packages = run(scripts / "python", "-m", "pip", "list", "--format=freeze").lower()
    assert "torch" not in packages
    assert "--help" in run(scripts / "sr-train", "--help")
    assert "--help" in run(scripts / "sr-export", "--help")
    missing = subprocess.run(
        [scripts / "sr-export", "onnx", photo, "-o", tmp_path / "m.onnx"],
        capture_output=True,
        text=True,
    )
    assert missing.returncode == 2
    assert 'pip install "sr-toolkit[export]"' in missing.stderr
    # Such a line works before any release, because the package itself is there.
    dry = ("install", "-q", "--dry-run", "-c", constraints, "sr-toolkit[vips]")
    run(scripts / "python", "-m", "pip", *dry)
