"""A measured value against its limit, and how it is printed."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Check", "table"]


@dataclass(frozen=True)
class Check:
    """One measured value against its limit."""

    name: str
    value: float
    limit: float
    at_least: bool = False
    """Whether the limit is the smallest good value rather than the largest."""
    layer: str | None = None
    """What to say about the layer at fault, where the check knows it."""

    @property
    def passed(self) -> bool:
        # NaN fails either way.
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def table(checks: Sequence[Check]) -> str:
    """The checks as aligned text."""
    width = max(len(check.name) for check in checks)
    return "\n".join(
        f"{check.name:<{width}}  {check.value:>9.3g}  "
        f"{'at least' if check.at_least else 'at most'} {check.limit:<7.4g}  "
        f"{'ok' if check.passed else 'FAILED'}"
        for check in checks
    )
