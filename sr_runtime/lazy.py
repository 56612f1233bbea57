"""Names of a package that are imported when they are first used.

numpy and its like take a fifth of a second to import. A program that hears Ctrl-C must be running
before that, and Python imports the package before the program in it.
"""

import importlib
from collections.abc import Callable, Mapping

__all__ = ["imported_at_first_use"]


def imported_at_first_use(package: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of a package (PEP 562) for names that live in these modules."""

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return get
