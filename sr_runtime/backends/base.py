"""What every engine is to whoever uses it: batches in, handles out, and the shapes it takes."""

from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from sr_runtime.model_info import ModelInfo

__all__ = ["Backend", "Limits", "PendingBatch", "infer"]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What shapes a backend takes, and how much at once."""

    min_tile: tuple[int, int] = (1, 1)
    """Smallest input (height, width)."""
    max_tile: tuple[int, int] | None = None
    """Largest input (height, width); None: only memory limits it."""
    tile: int | None = None
    """Largest side that suits the device and its memory; None: the usual one of the precision."""
    batch: int = 1
    """Tiles to submit at once."""
    fixed_batch: bool = False
    """Every batch must have exactly `batch` tiles."""
    depth: int = 1
    """How many batches may be in flight."""
    images: int = 1
    """Of how many images at once tiles are worth submitting; more would only take memory."""
    tile_step: int = 8
    """Sides of tiles differ by multiples of this, so that images of many sizes share shapes."""
    shape_cost: int = 0
    """What preparing a new input shape costs, in LR pixels of inference."""


class PendingBatch(Protocol):
    """One submitted batch, and the place in the engine that it takes until it is released."""

    def result(self) -> NDArray[Any]:
        """Wait for the output, laid out as `ModelInfo.io` says; valid until `release`.

        Raises OutOfMemoryError, NonFiniteError (uint8 models) or what else befell this batch.
        """

    def release(self) -> None:
        """Give its place back, once the batch is done; to be called once, after errors too."""


class Backend(Protocol):
    """One opened model. Several threads may submit batches, and take and release their own."""

    name: str
    device: str
    compute_dtype: str
    info: ModelInfo
    limits: Limits

    def submit(self, batch: NDArray[Any]) -> PendingBatch:
        """Start inference of a batch laid out as `ModelInfo.io` says.

        At most `limits.depth` handles may be unreleased.
        """

    def shrink(self) -> None:
        """Give back memory that the shapes so far took; for when every handle is released."""

    def close(self) -> None:
        """Release the engine; handles still in flight are waited for."""


def infer(backend: Backend, batch: NDArray[Any]) -> NDArray[Any]:
    """Run one batch alone; return its output as a copy. Raises what `PendingBatch.result` does."""
    handle = backend.submit(batch)
    try:
        return handle.result().copy()
    finally:
        handle.release()
