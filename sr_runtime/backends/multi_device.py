"""Several devices as one backend: each batch goes to the device with the most room."""

import math
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any
from weakref import WeakSet

from numpy.typing import NDArray

from sr_runtime.backends.base import Backend, Limits, PendingBatch

__all__ = ["MultiDeviceBackend"]


class MultiDeviceBackend(Backend):
    """The same model on several devices, which share the batches."""

    def __init__(self, backends: Sequence[Backend]) -> None:
        """Take over open backends, at least one."""
        first = backends[0]
        assert all(one.info == first.info for one in backends)
        self.name = first.name
        self.device = ",".join(one.device for one in backends)
        self.compute_dtype = first.compute_dtype
        self.info = first.info
        self.notes = tuple(dict.fromkeys(note for one in backends for note in one.notes))
        self.limits = _common_limits([one.limits for one in backends])
        self._backends = tuple(backends)
        # Those that live, and no count of them, which an interrupt could leave wrong.
        self._pending: list[WeakSet[_PendingBatch]] = [WeakSet() for _ in backends]
        self._choice = threading.Lock()

    def submit(self, batch: NDArray[Any]) -> "_PendingBatch":
        with self._choice:
            room = [
                one.limits.depth - len(pending)
                for one, pending in zip(self._backends, self._pending, strict=True)
            ]
            number = room.index(max(room))
            chosen = _PendingBatch(self._pending[number])
        chosen.pending = self._backends[number].submit(batch)
        return chosen

    def shrink(self) -> None:
        for one in self._backends:
            one.shrink()

    def close(self) -> None:
        with ExitStack() as held:  # close all, even if one fails
            for one in self._backends:
                held.callback(one.close)


class _PendingBatch:
    """A batch on one of the devices, which has room for another after the release."""

    pending: PendingBatch

    def __init__(self, on_device: "WeakSet[_PendingBatch]") -> None:
        self._on_device = on_device
        on_device.add(self)

    def result(self) -> NDArray[Any]:
        return self.pending.result()

    def release(self) -> None:
        try:
            self.pending.release()
        finally:
            self._on_device.discard(self)


def _common_limits(limits: Sequence[Limits]) -> Limits:
    """Shapes that all of them take, and the batches and images that they hold together."""
    most = [one.max_tile for one in limits if one.max_tile is not None]
    usual = [one.tile for one in limits if one.tile is not None]
    return Limits(
        min_tile=_sides(max, [one.min_tile for one in limits]),
        max_tile=_sides(min, most) if most else None,
        tile=min(usual, default=None),
        batch=min(one.batch for one in limits),
        fixed_batch=any(one.fixed_batch for one in limits),
        depth=sum(one.depth for one in limits),
        images=sum(one.images for one in limits),
        tile_step=math.lcm(*(one.tile_step for one in limits)),
        shape_cost=max(one.shape_cost for one in limits),
        pixels=all(one.pixels for one in limits),
    )


def _sides(of: Callable[[Iterable[int]], int], tiles: Sequence[tuple[int, int]]) -> tuple[int, int]:
    heights, widths = zip(*tiles, strict=True)
    return of(heights), of(widths)
