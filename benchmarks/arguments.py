"""A value that options of several benchmarks take."""

import argparse

from sr_runtime.cli.parser import whole_number

__all__ = ["count"]


def count(text: str) -> int:
    """A whole number, at least 1."""
    if (value := whole_number(text)) < 1:
        raise argparse.ArgumentTypeError(f"{value} is less than 1")
    return value
