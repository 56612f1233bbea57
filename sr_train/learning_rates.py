"""Learning rates, as functions of the mini-batch alone: a resumed run needs no scheduler."""

import math

from sr_train.config.sections import Schedule

__all__ = ["FLOOR", "schedule_factor", "warm_up"]

FLOOR = 0.01
"""Where linear and cosine schedules end, as a fraction of the learning rate."""


def schedule_factor(
    schedule: Schedule, batch: int, *, total: int, drops: int, gamma: float
) -> float:
    """The factor of the learning rate in mini-batch `batch` of `total`, counted from 0.

    `gamma` is the factor of each of the `drops` that a step schedule has had by then. The others
    equal PyTorch's LinearLR and CosineAnnealingLR over `total` mini-batches.
    """
    left = 1 - batch / total
    match schedule:
        case "step":
            return gamma**drops
        case "linear":
            return FLOOR + (1 - FLOOR) * left
        case "cosine":
            return FLOOR + (1 - FLOOR) * (1 - math.cos(math.pi * left)) / 2
        case "constant":
            return 1.0


def warm_up(lr: float, batch: int, *, steps: int) -> float:
    """`lr`, approached in equal steps from near 0 over the first `steps` mini-batches."""
    return lr * min(1.0, (batch + 1) / steps) if steps else lr
