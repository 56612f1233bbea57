"""The backends that work on this machine: a new row of the registry is tested by being there."""

import pytest

from sr_runtime.backends.registry import BACKENDS, BackendRow, choose, rows
from sr_runtime.errors import BackendError

__all__ = ["cpu_precisions", "every_row"]


def _works(row: BackendRow) -> bool:
    try:
        row.load().devices()
    except BackendError:  # test_backends_choice.py checks the reason
        return False
    return True


every_row = pytest.mark.parametrize(
    "row",
    # A backend for engines has tests of its own: it cannot run every ONNX file.
    [row for row in BACKENDS if row.auto != "engine" and _works(row)],
    ids=lambda row: f"{row.name}-{row.kind}",
)
"""Run a test with each of them as `row`."""


def cpu_precisions() -> tuple[str, ...]:
    """The precisions of the backend that "auto" takes on the CPU, the fastest first."""
    name, _ = choose("auto", "cpu")
    return next(row for row in rows(name) if row.kind == "cpu").load().precisions()
