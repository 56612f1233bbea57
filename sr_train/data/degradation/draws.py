"""Random choices, all from a generator that is given."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

__all__ = ["pick", "uniform"]

Name = TypeVar("Name", bound=str)


def pick(weights: Mapping[Name, float], generator: np.random.Generator) -> Name:
    """A name, as often as its weight says."""
    left = generator.random() * sum(weights.values())
    for name, weight in weights.items():
        left -= weight
        if left < 0:
            return name
    return max(weights, key=lambda name: weights[name])  # rounding has left a rest


def uniform(between: tuple[float, float], generator: np.random.Generator) -> float:
    """A number between two, equally likely everywhere."""
    return between[0] + (between[1] - between[0]) * generator.random()
