"""A process that is forked after a model was loaded, as gunicorn and multiprocessing do it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.software_adapter import use_software_adapter
from sr_runtime import BackendError, load
from sr_runtime.backends.choice import choose
from tests.runtime.test_backends import doubling, foreign

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork"),
]

# Prints what the child says, how it ended, and that the parent goes on.
PROGRAM = """
import ctypes, os, signal, sys, warnings
import numpy as np
import sr_runtime
warnings.simplefilter("ignore", DeprecationWarning)  # of os.fork in a process with threads
model, backend, device = sys.argv[1:]
image = np.zeros((6, 8, 3), np.uint8)
with sr_runtime.load(model, backend=backend, device=device) as upscaler:
    before = upscaler.upscale(image)
    child = os.fork()
    if child == 0:
        for call in (upscaler.upscale, lambda image: sr_runtime.load(
            model, backend=backend, device=device).upscale(image)):
            try:
                print((call(image) == before).all(), flush=True)
            except sr_runtime.BackendError as error:
                print(error, flush=True)
        upscaler.close()
        library = ctypes.CDLL(None)
        library.fdopen.restype = ctypes.c_void_p
        library.fputs(b"written by C\\n", ctypes.c_void_p(library.fdopen(os.dup(1), b"w")))
        sys.exit(3)
    print("ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    print("parent:", (upscaler.upscale(image) == before).all())
"""

# The parent closes its model before the fork.
PROGRAM_THAT_CLOSES = """
import os, sys, warnings
import numpy as np
import sr_runtime
warnings.simplefilter("ignore", DeprecationWarning)
model, backend, device = sys.argv[1:]
image = np.zeros((6, 8, 3), np.uint8)
with sr_runtime.load(model, backend=backend, device=device) as upscaler:
    before = upscaler.upscale(image)
if os.fork() == 0:
    try:
        upscaler = sr_runtime.load(model, backend=backend, device=device)
        print(np.abs(upscaler.upscale(image).astype(int) - before).max() <= 1)
    except sr_runtime.BackendError as error:
        print(error)
    sys.exit(0)
os.wait()
"""


def run(model: Path, backend: str, device: str, program: str = PROGRAM) -> list[str]:
    """What the program prints; a hang is a failure, and leaves no process."""
    command = [sys.executable, "-c", program, str(model), backend, device]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        pytest.fail(f"it waits for ever after {output!r} {errors!r}")
    assert process.returncode == 0, errors
    return output.splitlines()


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A network of one convolution, which was measured already."""
    model = foreign(tmp_path / "m.onnx", doubling(), ["n", 3, "h", "w"])
    load(model, backend="onnxruntime", device="cpu").close()
    return model


@pytest.mark.parametrize(
    ("backend", "said"), [("onnxruntime", "True"), ("openvino", "its parent loaded")]
)
def test_a_child_loads_its_own_model_or_is_told_why_not_and_ends_in_peace(
    backend: str, said: str, small: Path
) -> None:
    inherited, own, buffered, ended, parent = run(small, backend, "cpu")
    assert inherited.endswith("load it in each process")
    assert said in own
    assert buffered == "written by C"
    assert (ended, parent) == ("ended with 3", "parent: True")


@pytest.mark.parametrize(
    ("backend", "said"),
    [("auto", "True"), ("onnxruntime", "True"), ("openvino", "its parent loaded")],
)
def test_a_child_does_not_wait_for_the_threads_of_a_closed_model(
    backend: str, said: str, small: Path
) -> None:
    (line,) = run(small, backend, "cpu", PROGRAM_THAT_CLOSES)
    assert said in line


def test_a_gpu_cannot_be_used_in_a_child_of_a_process_that_uses_it(small: Path) -> None:
    pytest.importorskip("onnxruntime_ep_webgpu")
    use_software_adapter()
    try:
        choose("webgpu", "auto")
    except BackendError as error:
        pytest.skip(f"WebGPU does not work here: {error}")
    inherited, own, _, ended, parent = run(small, "webgpu", "webgpu:0")
    assert inherited.endswith("load it in each process")
    assert "forked after its parent used it" in own
    assert (ended, parent) == ("ended with 3", "parent: True")
