"""`python -m tests.faults`: run the matrix and print the table that docs/faults.md has."""

import sys
from pathlib import Path

import pytest

from tests.faults.matrix import table

code = pytest.main([str(Path(__file__).parent), "-q"])
print(table())
sys.exit(code)
