"""The backends that work on this machine: a new row of the registry is tested by being there."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from benchmarks.software_adapter import use_software_adapter
from sr_runtime.backends.choice import choose, open_backend
from sr_runtime.backends.registry import BACKENDS, BackendRow, rows
from sr_runtime.errors import BackendError

__all__ = ["cpu_precisions", "every_fast_row", "every_row", "shaders_kept"]

use_software_adapter()


def _works(row: BackendRow) -> bool:
    try:
        row.load().devices()
    except BackendError:  # test_backends_choice.py checks the reason
        return False
    return True


# A backend for engines has tests of its own: it cannot run every ONNX file.
ROWS = [row for row in BACKENDS if "engine" not in "".join(row.auto) and _works(row)]


def _over(rows: list[BackendRow]) -> pytest.MarkDecorator:
    slow = {"webgpu": [pytest.mark.slow]}
    params = [
        pytest.param(row, id=f"{row.name}-{row.kind}", marks=slow.get(row.kind, [])) for row in rows
    ]
    return pytest.mark.parametrize("row", params)


every_row = _over(ROWS)
"""Run a test with each of them as `row`."""

every_fast_row = _over([row for row in ROWS if row.kind != "webgpu"])
"""All but a GPU in software, which takes half a minute for a real network of 50×41 pixels."""


@pytest.fixture(scope="module", autouse=True)
def shaders_kept(tiny_onnx: Callable[..., Path]) -> Iterator[None]:
    """WebGPU compiles shaders anew when its last session closes: one stays open for a file's tests,
    which takes half of their time."""
    with ExitStack() as opened:
        if any(row.kind == "webgpu" for row in ROWS):
            model = tiny_onnx()
            backend = open_backend("webgpu", model, device="webgpu:0", precision="fp32")
            opened.callback(backend.close)
        yield


def cpu_precisions() -> tuple[str, ...]:
    """The precisions of the backend that "auto" takes on the CPU, the fastest first."""
    name, _ = choose("auto", "cpu")
    return next(row for row in rows(name) if row.kind == "cpu").load().precisions()
