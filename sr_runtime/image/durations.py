"""Frame durations in the time steps that a format can hold."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

__all__ = ["rounded_durations"]


def rounded_durations(durations: Sequence[float], step: int) -> tuple[int, ...]:
    """`durations` as multiples of `step` that never drift from them by more than half a step."""
    ends = [step * round(end / step) for end in accumulate(durations, initial=0)]
    return tuple(end - start for start, end in pairwise(ends))
