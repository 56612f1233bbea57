"""What an application implements to upscale from and into a store of its own."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["RowReader", "RowWriter"]


class RowReader(Protocol):
    """An image that gives its rows from top to bottom, each of them once."""

    shape: tuple[int, int, int]
    """(height, width, channels): 1 is gray, 2 gray and alpha, 3 RGB, 4 RGBA."""
    dtype: np.dtype[Any]
    """uint8 or uint16; or float32, in [0, 1]."""

    def read(self, begin: int, end: int) -> NDArray[Any]:
        """Rows [`begin`, `end`) as `(end − begin, width, channels)`.

        The first call may begin at any row. Every later one begins where the one before it ended.
        The calls come one at a time, from another thread than that of `upscale_stream`.
        """
        ...


class RowWriter(Protocol):
    """A store that takes the rows of a result from top to bottom."""

    def start(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> int:
        """Prepare for a result of `shape`; return how many of its rows are there already.

        It is called once. The run goes on after those rows, which a store counts that keeps what an
        earlier run wrote; others return 0.
        """
        ...

    def write(self, rows: NDArray[Any]) -> None:
        """Take the next rows, `(rows, width, channels)`, and return when they may be overwritten.

        The calls come one at a time, from another thread than that of `upscale_stream`.
        """
        ...
