"""`python -m tests.support`: try each backend that works here, and write docs/support.md."""

import json
import platform
import sys

from benchmarks.machine import processor
from tests.runtime.software_adapter import use_software_adapter
from tests.support.matrix import (
    PAGE,
    RECORD,
    cells_here,
    page_of,
    read_record,
    this_system,
    try_cell,
)


def main() -> int:
    """Try, record and write; return 1 if something did not work."""
    use_software_adapter()
    record, failed = read_record(), False
    for cell in cells_here():
        found = record.setdefault(cell.name, {})
        found.pop(this_system(), None)
        try:
            try_cell(cell)
        except Exception as error:
            failed = True
            print(f"{cell.name}: {type(error).__name__}: {error}")
            continue
        found[this_system()] = (
            f"{processor()}, {platform.machine()}, Python {platform.python_version()}"
        )
        print(f"{cell.name}: works")
    RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    PAGE.write_text(page_of(record), encoding="utf-8")
    return failed


if __name__ == "__main__":
    sys.exit(main())
