"""What `Backend` promises, for every row of the registry that works here."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sr_runtime import BackendError
from sr_runtime.backends.base import Backend, infer
from sr_runtime.backends.choice import open_backend
from sr_runtime.backends.onnxruntime.cpu import OnnxRuntimeBackend
from sr_runtime.backends.registry import BackendRow
from tests.runtime.every_row import every_row, shaders_kept  # noqa: F401 - a fixture
from tests.runtime.in_threads import in_threads


@contextmanager
def opened(row: BackendRow, model: Path) -> Iterator[Backend]:
    precision = "fp32" if row.kind == "cpu" else "auto"
    device = row.load().devices()[0]
    with closing(open_backend(row.name, model, device=device, precision=precision)) as backend:
        assert (backend.name, backend.device) == (row.name, device)
        assert backend.compute_dtype in row.load().precisions()
        yield backend


def batches(*sides: int) -> list[NDArray[np.float32]]:
    random = np.random.default_rng(0)
    return [random.random((1, 3, side, side + 3), np.float32) for side in sides]


def expected(model: Path, batch: NDArray[np.float32]) -> NDArray[np.float32]:
    with closing(OnnxRuntimeBackend(model, device="cpu", precision="fp32")) as backend:
        return infer(backend, batch)


def all_close(
    model: Path, inputs: list[NDArray[np.float32]], outputs: list[NDArray[np.float32]]
) -> bool:
    pairs = zip(inputs, outputs, strict=True)
    return all(close_to(output, expected(model, batch)) for batch, output in pairs)


def close_to(output: NDArray[np.float32], wanted: NDArray[np.float32]) -> bool:
    """Engines sum in different orders; other inputs give outputs that differ by far more."""
    return output.shape == wanted.shape and bool(np.abs(output - wanted).max() < 1e-3)


@every_row
def test_each_batch_in_flight_gets_its_own_result_and_keeps_it(
    row: BackendRow, tiny_onnx: Callable[..., Path]
) -> None:
    model = tiny_onnx()
    with opened(row, model) as backend:
        inputs = batches(*range(8, 8 + backend.limits.depth))
        for _ in range(2):  # the second time in places that were used before
            pending = [backend.submit(batch) for batch in inputs]
            outputs = [one.result() for one in pending]
            assert all_close(model, inputs, outputs)
            for one in pending:
                one.release()


@every_row
def test_a_batch_that_cannot_run_fails_alone_and_in_its_result(
    row: BackendRow, tiny_onnx: Callable[..., Path]
) -> None:
    model = tiny_onnx()
    with opened(row, model) as backend:
        (good,) = batches(8)
        for batch in (good, good[:, :2], good):
            pending = backend.submit(batch)
            if batch is good:
                assert close_to(pending.result(), expected(model, good))
            else:
                with pytest.raises(BackendError) as raised:
                    pending.result()
                assert len(str(raised.value).splitlines()) == 1
            pending.release()


@every_row
def test_a_released_batch_that_nobody_took_harms_no_later_one(
    row: BackendRow, tiny_onnx: Callable[..., Path]
) -> None:
    model = tiny_onnx()
    with opened(row, model) as backend:
        for batch in batches(8, 12, 8):
            backend.submit(batch).release()
        (batch,) = batches(10)
        assert close_to(infer(backend, batch), expected(model, batch))
        backend.shrink()
        assert close_to(infer(backend, batch), expected(model, batch))


@every_row
def test_threads_get_their_own_results(row: BackendRow, tiny_onnx: Callable[..., Path]) -> None:
    model = tiny_onnx()
    with opened(row, model) as backend:
        inputs = batches(*range(8, 8 + backend.limits.depth))  # as many as may be in flight
        outputs = in_threads(lambda batch: infer(backend, batch), inputs)
        assert all_close(model, inputs, outputs)


# A limit of the address space is the CPU's only one that a test can set.
LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
import numpy as np
from sr_runtime import OutOfMemoryError
from sr_runtime.backends.base import infer
from sr_runtime.backends.choice import open_backend
backend = open_backend(sys.argv[1], Path(sys.argv[2]), device="cpu", precision="fp32")
small, large = np.zeros((1, 3, 16, 16), np.float32), np.zeros((1, 3, 2048, 2048), np.float32)
infer(backend, small)
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (300 << 20),) * 2)
pending = backend.submit(large)
try:
    pending.result()
except OutOfMemoryError as error:
    print("out of memory:", error)
pending.release()
backend.shrink()
print(infer(backend, small).shape)
"""


@pytest.mark.slow
@every_row
@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_AS and /proc")
def test_too_large_a_batch_is_out_of_memory_and_a_small_one_still_runs(
    row: BackendRow, tiny_onnx: Callable[..., Path]
) -> None:
    if row.kind != "cpu":
        pytest.skip("the memory of a real GPU cannot be limited")
    command = [sys.executable, "-c", LITTLE_MEMORY, row.name, str(tiny_onnx())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("out of memory:")
    assert done.stdout.endswith("(1, 3, 64, 64)\n")
