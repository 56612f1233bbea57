"""docs/support.md says what was seen to work, and it works."""

import pytest

from sr_runtime.backends.registry import BACKENDS
from tests.runtime.software_adapter import use_software_adapter
from tests.support.matrix import (
    CELLS,
    PAGE,
    Cell,
    cells_here,
    page_of,
    read_record,
    this_system,
    try_cell,
)

use_software_adapter()

RECORDED = [
    pytest.param(cell, id=cell.name, marks=[pytest.mark.slow] if cell.kind == "webgpu" else [])
    for cell in cells_here()
    if this_system() in read_record().get(cell.name, {})
]


def test_the_page_is_what_was_recorded() -> None:
    assert page_of(read_record()) == PAGE.read_text("utf-8"), "run make support"


def test_every_backend_has_its_place_in_the_table() -> None:
    assert {(row.name, row.kind) for row in BACKENDS} == {(one.backend, one.kind) for one in CELLS}


def test_only_cells_of_the_table_are_recorded() -> None:
    record = read_record()
    assert record.keys() <= {cell.name for cell in CELLS}
    systems = {cell.name: cell.systems for cell in CELLS}
    assert all(set(found) <= set(systems[name]) for name, found in record.items())


@pytest.mark.parametrize("cell", RECORDED)
def test_what_is_recorded_for_this_system_works_here(cell: Cell) -> None:
    try_cell(cell)
