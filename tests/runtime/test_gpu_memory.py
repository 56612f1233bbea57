"""A GPU whose memory runs out: tiles shrink, the picture stays, and memory is given back.

The GPUs are simulated; their memory is bound to ONNX Runtime's CPU provider.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

import sr_runtime
from tests.runtime.test_backends_gpu import PHOTO, on_the_cpu


def test_a_small_gpu_gets_small_tiles_from_the_start(cuda, tiny_onnx) -> None:
    sides = []
    for cuda.gpu.total in (1 << 28, 1 << 30, 1 << 36):
        with sr_runtime.load(tiny_onnx(), device="cuda") as upscaler:
            sides.append(upscaler.max_tile[0])
    assert sides == sorted(sides)
    assert sides[0] < sides[1] < sides[2] == 1024


def test_memory_that_runs_out_leads_to_smaller_tiles_and_the_same_picture(cuda, tiny_onnx) -> None:
    model, photo = tiny_onnx(), np.resize(PHOTO, (120, 120, 3))
    with sr_runtime.load(model, device="cuda", tile=120, halo=8) as upscaler:
        # Three slots with tiles of 60, as floats and as bytes, and not one with the whole photo.
        cuda.gpu.total = 3 * (60 * 60 * 3 * (4 + 1) * (1 + 16) + 1)
        with pytest.warns(RuntimeWarning, match="continuing with tiles of 60 instead of 120"):
            result = upscaler.upscale(photo)
        cuda.gpu.total = 1 << 30
    assert np.abs(result.astype(int) - on_the_cpu(model, photo, tile=60, halo=8)).max() <= 1


def test_memory_that_runs_out_while_tensors_are_bound_leads_to_smaller_tiles_too(
    cuda, tiny_onnx, cuda_patch
) -> None:
    bind, failures = ort.IOBinding.bind_input, iter([True])

    def without_memory(*arguments: object) -> None:
        if next(failures, False):
            raise RuntimeError("CUBLAS failure 3: the resource allocation failed ; GPU=0")
        bind(*arguments)

    cuda_patch.setattr(ort.IOBinding, "bind_input", without_memory)
    with (
        sr_runtime.load(tiny_onnx(), device="cuda", tile=120, halo=8) as upscaler,
        pytest.warns(RuntimeWarning, match="continuing with tiles of 60 instead of 120"),
    ):
        assert upscaler.upscale(PHOTO).shape == (360, 484, 3)


# In a process of its own, whose memory no other test has touched.
SHRINKING = """
import mmap, sys
from pathlib import Path
import numpy as np
import sr_runtime
from sr_runtime.backends.base import infer
from tests.runtime.simulated_onnxruntime import simulated_cuda_provider
def memory():
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE
with simulated_cuda_provider(), sr_runtime.load(sys.argv[1], device="cuda") as upscaler:
    backend = upscaler.backend
    infer(backend, np.zeros((1, 3, 16, 16), np.float32))
    print(memory())
    infer(backend, np.zeros((1, 3, 256, 256), np.float32))
    print(memory())
    backend.shrink()
    print(memory())
    infer(backend, np.zeros((1, 3, 16, 16), np.float32))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_shrinking_gives_back_what_a_large_tile_took(tiny_onnx) -> None:
    command = [sys.executable, "-c", SHRINKING, str(tiny_onnx())]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    small, large, after = map(int, done.stdout.split())
    assert after - small < (large - small) / 4
