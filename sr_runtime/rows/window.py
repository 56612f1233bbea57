"""Rows that are needed more than once, from a reader that gives each of them once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_runtime.rows.protocols import RowReader

__all__ = ["MadeRows", "Window"]


class Window:
    """Overlapping ranges of a reader's rows. Neither end of a range lies before its last one."""

    def __init__(self, reader: RowReader) -> None:
        self._reader = reader
        self._rows: NDArray[Any] | None = None
        self._begin = 0

    def rows(self, begin: int, end: int) -> NDArray[Any]:
        """Rows [`begin`, `end`); the next range may begin among them."""
        if self._rows is None:
            self._rows, self._begin = self._reader.read(begin, end), begin
        else:
            kept, read = self._rows[begin - self._begin :], self._begin + len(self._rows)
            self._rows = None  # so that the rows that are left behind are not kept during the copy
            more = self._reader.read(read, end) if end > read else kept[:0]
            self._rows, self._begin = np.concatenate([kept, more]), begin
        return self._rows


@dataclass
class MadeRows:
    """A reader of rows that are made when they are needed."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    bands: Callable[[int], Iterator[NDArray[Any]]]
    """The rows from a given one on, some at a time."""

    _making: Iterator[NDArray[Any]] | None = field(default=None, init=False)
    _left: list[NDArray[Any]] = field(default_factory=list, init=False)

    def read(self, begin: int, end: int) -> NDArray[Any]:
        """As `RowReader.read`."""
        making = self._making = self._making or self.bands(begin)
        found, missing = [], end - begin
        while missing > 0:
            band = self._left.pop() if self._left else next(making)
            found.append(band[:missing])
            if len(band) > missing:
                self._left.append(band[missing:])
            missing -= len(found[-1])
        return found[0] if len(found) == 1 else np.concatenate(found)
