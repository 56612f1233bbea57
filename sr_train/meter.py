"""What a run measures of itself without waiting for the device: means of steps, peak memory."""

import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["Meter", "peak_memory"]


class Meter:
    """Sums of finite values, and how many there were, by name."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, Tensor] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Take the values of a step in; what is not finite belongs to a step that was skipped."""
        for name, value in values.items():
            value = value.detach().float()
            finite = value.isfinite()
            self.sums[name] = self.sums.get(name, 0) + torch.where(finite, value, 0)
            self.counts[name] = self.counts.get(name, 0) + finite.float()

    def read(self) -> dict[str, float]:
        """The means since the last reading. This waits for the device, once."""
        if not self.sums:
            return {}
        means = torch.stack([self.sums[name] / self.counts[name] for name in self.sums]).tolist()
        named = dict(zip(self.sums, means, strict=True))
        self.sums, self.counts = {}, {}
        return named

    def state_dict(self) -> dict[str, Any]:
        """What has been taken in and not yet read."""
        return {"sums": self.sums, "counts": self.counts}

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on from `state_dict()`."""
        self.sums = {name: value.to(device) for name, value in state["sums"].items()}
        self.counts = {name: value.to(device) for name, value in state["counts"].items()}


def peak_memory(device: torch.device) -> int:
    """Bytes: the most that tensors took on the GPU, or this process in main memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
