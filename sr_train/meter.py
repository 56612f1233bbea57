"""Means of what every step returns, kept on the device until somebody reads them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["Meter"]


class Meter:
    """Means of the finite values, by name."""

    def __init__(self) -> None:
        # By the names that a step returned: sums of the finite values, and how many there were.
        self.totals: dict[str, Tensor] = {}

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Take the values of a step in; what is not finite belongs to a step that was skipped."""
        numbers = torch.stack([value.detach().float() for value in values.values()])
        finite = numbers.isfinite()
        total = torch.stack([torch.where(finite, numbers, 0), finite.float()])
        names = " ".join(values)
        self.totals[names] = self.totals[names] + total if names in self.totals else total

    def read(self) -> dict[str, float]:
        """The means since the last reading, NaN where all was skipped. Waits for the device."""
        sums: dict[str, list[float]] = {}
        for names, totals in self.totals.items():
            for name, total, count in zip(names.split(), *totals.tolist(), strict=True):
                before = sums.get(name, [0.0, 0.0])
                sums[name] = [before[0] + total, before[1] + count]
        self.totals = {}
        return {n: total / count if count else float("nan") for n, (total, count) in sums.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """What has been taken in and not yet read."""
        return self.totals

    def load_state_dict(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Go on from `state_dict()`."""
        self.totals = {names: totals.to(device) for names, totals in state.items()}
