"""Values that options of several benchmarks take."""

import argparse
import re

from sr_runtime.cli.parser import whole_number
from sr_runtime.printable import shown

__all__ = ["count", "size"]


def count(text: str) -> int:
    """A whole number, at least 1."""
    if (value := whole_number(text)) < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value


def size(text: str) -> tuple[int, int]:
    """Width and height."""
    if not (sides := re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)):
        raise argparse.ArgumentTypeError(f"{shown(text)} is not WIDTHxHEIGHT, such as 4000x3000")
    return int(sides[1]), int(sides[2])
