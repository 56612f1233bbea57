"""Times that can be compared: the contenders run in turn, because a machine's speed drifts."""

import time
from collections.abc import Callable, Mapping

__all__ = ["seconds_in_turn"]


def seconds_in_turn(
    contenders: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
    """Seconds of each contender in every round, after one round to warm up that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(1 + rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: times[1:] for name, times in seconds.items()}
