"""docs/support.md says what was seen to work, and it works."""

import sys
from contextlib import AbstractContextManager

import pytest

from benchmarks import software_adapter
from sr_runtime.__main__ import main as sr_runtime
from sr_runtime.backends.onnxruntime.vulkan import Adapter
from sr_runtime.backends.registry import BACKENDS
from sr_runtime.backends.tested import recorded
from tests.runtime.simulated_onnxruntime import simulated_cuda_provider
from tests.simulated_tensorrt import Machine, simulated
from tests.support.matrix import CELLS, PAGE, Cell, page_of, this_system, updated
from tests.support.trial import cells_here, try_cell

software_adapter.use_software_adapter()

RECORDED = [
    pytest.param(cell, id=cell.name, marks=[pytest.mark.slow] if cell.kind == "webgpu" else [])
    for cell in cells_here()
    if any(cell.worked(one, this_system()) for one in recorded())
]
CUDA = [cell for cell in CELLS if cell.kind == "cuda"]


def test_the_page_is_what_was_recorded() -> None:
    assert page_of(recorded()) == PAGE.read_text("utf-8"), "run make support"


def test_every_backend_has_its_place_in_the_table() -> None:
    assert {(row.name, row.kind) for row in BACKENDS} == {(one.backend, one.kind) for one in CELLS}


def test_only_cells_of_the_table_are_recorded() -> None:
    for one in recorded():
        (cell,) = [cell for cell in CELLS if cell.worked(one, one.system)]
        assert cell.kind == one.kind
        assert one.system in cell.systems


@pytest.mark.parametrize("cell", RECORDED)
def test_what_is_recorded_for_this_system_works_here(cell: Cell) -> None:
    try_cell(cell)


def simulated_machine(cell: Cell) -> AbstractContextManager[Machine]:
    if cell.backend == "onnxruntime":
        return simulated_cuda_provider()
    return simulated(None, rtx=True) if cell.backend == "tensorrt-rtx" else simulated()


@pytest.mark.slow
@pytest.mark.parametrize("cell", CUDA, ids=[cell.name for cell in CUDA])
def test_with_a_gpu_its_cells_are_tried_and_the_gpu_is_named(cell: Cell) -> None:
    with simulated_machine(cell) as machine:
        assert cell in cells_here()
        assert try_cell(cell) == machine.gpu.name


def test_a_cell_without_an_engine_to_compare_with_is_not_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Else a machine with a GPU and without OpenVINO would take back what others recorded.
    monkeypatch.setitem(sys.modules, "openvino", None)
    monkeypatch.delitem(sys.modules, "sr_runtime.backends.openvino", raising=False)
    assert not [cell for cell in cells_here() if cell.kind == "cpu"]


@pytest.mark.parametrize("software", [True, False])
def test_an_adapter_in_software_does_not_hide_a_gpu(
    software: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[bool] = []
    monkeypatch.setattr(
        software_adapter, "vulkan_adapters", lambda: [Adapter("an adapter", software)]
    )
    monkeypatch.setattr(software_adapter, "use_software_adapter", lambda: used.append(True))
    software_adapter.use_gpu_or_software_adapter()
    assert used == [True] * software


def test_several_devices_of_a_kind_are_recorded_each_once() -> None:
    cell = CUDA[0]
    record = updated(updated([], cell, "RTX 3060"), cell, "RTX 5090")
    assert [one.device for one in updated(record, cell, "RTX 3060")] == ["RTX 3060", "RTX 5090"]
    (line,) = [line for line in page_of(record).splitlines() if "tested (" in line]
    assert line.startswith("| `tensorrt-rtx` |")
    assert "| tested (1, 2) |" in line


def test_a_failure_takes_back_what_was_recorded_for_the_cell_and_this_system() -> None:
    first, second = CUDA[:2]
    record = updated(updated([], first, "RTX 3060"), second, "RTX 3060")
    assert [one.backend for one in updated(record, first, None)] == [second.backend]


def test_info_prints_what_is_recorded_and_what_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert sr_runtime(["info"]) == 0
    _, *said = capsys.readouterr().out.split("(extra ")
    for row, lines in zip(BACKENDS, said, strict=True):
        seen = [one for one in recorded() if (one.backend, one.kind) == (row.name, row.kind)]
        for one in seen:
            assert f"{one.device} ({one.system})" in lines
        assert ("not tested on such hardware yet" in lines) == (not seen)
