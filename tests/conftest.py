"""Where the tests find real images and weights."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("SR_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real images and weights; the test is skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"no data at {DATA}: set SR_DATA to the folder of test images and weights")
    return DATA
