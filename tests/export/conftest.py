"""What the tests of export share."""

from pathlib import Path

import pytest

from sr_train.checkpoint import save_generator
from tests.conftest import tiny_generator


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    save_generator(tiny_generator(), tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"
