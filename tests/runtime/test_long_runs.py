"""Long runs: memory stays flat over images of many sizes."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sr_runtime.backends.base import infer
from sr_runtime.backends.choice import open_backend


def resident_bytes() -> int:
    """What this process holds in memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_memory_is_flat_over_images_of_many_sizes(
    name: str, tiny_onnx: Callable[..., Path]
) -> None:
    backend = open_backend(name, tiny_onnx(), device="cpu", precision="fp32")
    for number in range(160):
        if number == 60:
            before = resident_bytes()
        shape = (1, 3, 4 + number % 20, 4 + number // 20)
        infer(backend, np.zeros(shape, np.float32))
    # Without a limit, OpenVINO takes 110 MB more.
    assert resident_bytes() - before < 50e6
    backend.close()
