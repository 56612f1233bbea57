"""Learning rates as functions of the mini-batch alone: resuming needs no scheduler's memory."""

from bisect import bisect_right
from collections.abc import Sequence

__all__ = ["multi_step", "step", "warmed_up"]


def step(lr: float, batch: int, *, every: int, gamma: float) -> float:
    """`lr`, multiplied by `gamma` after each `every` mini-batches: PyTorch's StepLR."""
    return lr * gamma ** (batch // every)


def multi_step(lr: float, batch: int, *, milestones: Sequence[int], gamma: float) -> float:
    """`lr`, multiplied by `gamma` at each of `milestones`, which ascend: PyTorch's MultiStepLR."""
    return lr * gamma ** bisect_right(milestones, batch)


def warmed_up(lr: float, batch: int, *, steps: int) -> float:
    """`lr`, reached in equal steps from near 0 over the first `steps` mini-batches."""
    return lr * min(1.0, (batch + 1) / steps) if steps else lr
