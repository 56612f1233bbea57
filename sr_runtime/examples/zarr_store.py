"""A program with a store of its own: an image in zarr of any size, in bounded memory.

    python -m sr_runtime.examples.zarr_store scan.zarr large.zarr

It stands for an application whose images lie in a database or an object store. Both arrays are
`(height, width, channels)`. After a crash the same command goes on behind the rows that are there.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

import sr_runtime
from sr_runtime.embedded import DEFAULT

CHUNK = 512


class StoredRows:
    """A `RowReader` of an array."""

    def __init__(self, path: Path) -> None:
        self._array: Any = zarr.open_array(path, mode="r")
        height, width, channels = self._array.shape
        self.shape, self.dtype = (height, width, channels), self._array.dtype

    def read(self, begin: int, end: int) -> NDArray[Any]:
        """As `RowReader.read`."""
        rows: NDArray[Any] = self._array[begin:end]
        return rows


class Store:
    """A `RowWriter` of a new array, or of one that an earlier run has begun.

    It writes whole chunks, and notes how many rows there are once these are written.
    """

    def __init__(self, path: Path, made_from: str) -> None:
        self._path, self._made_from = path, made_from

    def start(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> int:
        """As `RowWriter.start`."""
        height, width, channels = shape
        if self._path.exists():
            self._array: Any = zarr.open_array(self._path, mode="r+")
            if self._array.attrs["made from"] != self._made_from or self._array.shape != shape:
                raise sr_runtime.ArgumentError(f"{self._path} is another result: delete it first")
        else:
            self._array = zarr.create_array(
                self._path,
                shape=shape,
                dtype=dtype,
                chunks=(min(CHUNK, height), min(CHUNK, width), channels),
                attributes={"made from": self._made_from, "rows": 0},
            )
        there = int(self._array.attrs["rows"])
        self._waiting = np.empty((0, width, channels), dtype)
        return there

    def write(self, rows: NDArray[Any]) -> None:
        """As `RowWriter.write`."""
        there, height = int(self._array.attrs["rows"]), self._array.shape[0]
        rows = np.concatenate([self._waiting, rows])
        end = there + len(rows)
        if end < height:
            end -= end % CHUNK  # an incomplete chunk waits for its other rows
        if end > there:
            self._array[there:end] = rows[: end - there]
            self._array.attrs["rows"] = end
        self._waiting = rows[end - there :].copy()


def main(source: str, target: str, model: str = DEFAULT) -> int:
    """Upscale one array into another; return the program's exit code."""
    try:
        with sr_runtime.load(model) as upscaler:
            upscaler.upscale_stream(
                StoredRows(Path(source)),
                Store(Path(target), made_from=f"{source} by {model}"),
                progress=lambda done, total: print(f"tile {done} of {total}"),
            )
    except (OSError, sr_runtime.SRError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: python -m sr_runtime.examples.zarr_store SOURCE TARGET [MODEL]")
    sys.exit(main(*sys.argv[1:]))
