"""The contract of every inference engine: batches in, pending batches out, and its limits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from sr_runtime.errors import ModelError, SRError
from sr_runtime.model_info import ModelInfo

__all__ = [
    "Backend",
    "DeviceBackend",
    "DoneBatch",
    "Limits",
    "PendingBatch",
    "UnreadableModelError",
    "declared_limits",
    "infer",
]


UNLIMITED = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The input shapes a backend takes, and how much work it holds at once."""

    min_tile: tuple[int, int] = (1, 1)
    """Smallest input (height, width)."""
    max_tile: tuple[int, int] | None = None
    """Largest input (height, width); None: only memory limits it."""
    tile: int | None = None
    """Largest tile side that suits the device and its memory; None: the precision's default."""
    batch: int = 1
    """Tiles to submit at once."""
    fixed_batch: bool = False
    """Every batch must have exactly `batch` tiles."""
    depth: int = 1
    """How many batches may be in flight."""
    images: int = 1
    """How many images to feed tiles from at once; more would only take memory."""
    tile_step: int = 8
    """Tile sides are multiples of this, so that images of many sizes share input shapes."""
    shape_cost: int = 0
    """What preparing a new input shape costs, in LR pixels of inference."""
    pixels: bool = False
    """`submit` of a float32 model also takes uint8 and uint16 pixels `(N, H, W, 1 or C)`, which the
    device converts as `sr_runtime.tensor` would. The output is of the same kind, clamped and
    rounded, and the device looks for NaN and infinity."""


class PendingBatch(Protocol):
    """One submitted batch. It occupies its place in the engine until it is released."""

    def result(self) -> NDArray[Any]:
        """Wait for the output, laid out as `ModelInfo.io` says; valid until `release`.

        Raises:
            OutOfMemoryError: This batch does not fit; a smaller one may.
            NonFiniteError: The model computed NaN or infinity, which an output of integers cannot
                show.
            BackendError: The engine could not run it.
        """

    def release(self) -> None:
        """Wait for the batch and free its place. Call it once, also after an error."""


class Backend(Protocol):
    """One opened model. Several threads may submit batches and take their own results."""

    name: str
    """Its name in the registry."""
    device: str
    """"cpu", "cuda:0", "webgpu:0", or several: "cuda:0,cuda:1"."""
    compute_dtype: str
    """The precision it computes in: "fp32", "fp16" or "bf16"."""
    info: ModelInfo
    limits: Limits
    notes: tuple[str, ...] = ()
    """What the command `info` also says: the device's name, or why it takes this precision."""

    def submit(self, batch: NDArray[Any]) -> PendingBatch:
        """Start inference of a batch laid out as `ModelInfo.io` says, or as `Limits.pixels` does.

        At most `limits.depth` pending batches may be unreleased, and `batch` must not change until
        that pending batch is released. A batch's errors are raised by its `result`, not here.
        """

    def shrink(self) -> None:
        """Free the memory kept for earlier shapes. Only while no batch is pending."""

    def close(self) -> None:
        """Wait for the batches in flight and free the engine."""


class DeviceBackend(Backend, Protocol):
    """A backend on one device: what a row of the registry names, and can open."""

    def __init__(self, model: Path, *, device: str, precision: str) -> None:
        """Open a model file.

        Args:
            device: One of `devices()`.
            precision: One of `precisions()`. A backend that has several also gets "auto": a GPU
                then computes in the precision of the file, a CPU in the first of them.

        Raises:
            ModelError: The file is not a super-resolution model that this backend can run.
            BackendError: The precision does not suit the file.
            OutOfMemoryError: The model does not fit into memory.
        """

    @staticmethod
    def devices() -> tuple[str, ...]:
        """The devices it runs on here, at least one; BackendError with the reason if none."""

    @staticmethod
    def precisions() -> tuple[str, ...]:
        """The precisions it computes in here, the fastest first."""

    @staticmethod
    def check_auto() -> None:
        """BackendError if "auto" must not take it here: its only GPU is emulated in software."""


class UnreadableModelError(ModelError):
    """This engine cannot run the file, and another one perhaps can."""


class DoneBatch:
    """The pending batch of an engine that computes during `submit`: an output, or an error."""

    def __init__(self, outcome: NDArray[Any] | SRError) -> None:
        self._outcome = outcome

    def result(self) -> NDArray[Any]:
        if isinstance(self._outcome, SRError):
            raise self._outcome
        return self._outcome

    def release(self) -> None:
        """Nothing to free."""


def declared_limits(
    shape: Sequence[int | None], info: ModelInfo, *, depth: int, shape_cost: int = 0
) -> Limits:
    """The limits that follow from a model's declared input shape, in which None is dynamic."""
    batch, (height, width) = shape[0], info.only_size(shape)
    fixed = height is not None or width is not None
    return Limits(
        min_tile=(height or info.min_side, width or info.min_side),
        max_tile=(height or UNLIMITED, width or UNLIMITED) if fixed else None,
        batch=batch or 1,
        fixed_batch=batch is not None,
        depth=depth,
        shape_cost=shape_cost,
    )


def infer(backend: Backend, batch: NDArray[Any]) -> NDArray[Any]:
    """Run one batch and return a copy of its output. Raises what `PendingBatch.result` does."""
    pending = backend.submit(batch)
    try:
        return pending.result().copy()
    finally:
        pending.release()
