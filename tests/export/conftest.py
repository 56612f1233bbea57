"""What the tests of export share."""

from pathlib import Path

import pytest
import torch

from sr_train.checkpoint import save_generator
from tests.conftest import tiny_generator


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save_generator(tiny_generator(), tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


@pytest.fixture
def hot_checkpoint(tmp_path: Path) -> Path:
    """The tiny generator's function, through a value that half precision cannot hold."""
    generator = tiny_generator()
    with torch.no_grad():
        generator.conv_hr.weight *= 1e6
        generator.conv_hr.bias *= 1e6
        generator.conv_last.weight /= 1e6
    save_generator(generator, tmp_path / "hot.safetensors")
    return tmp_path / "hot.safetensors"
