"""The networks."""

from collections.abc import Mapping
from typing import Any

from sr_runtime.errors import ArgumentError
from sr_train.models.compact import SRVGGNetCompact
from sr_train.models.rrdbnet import RRDBNet

__all__ = ["Generator", "RRDBNet", "SRVGGNetCompact", "build_generator"]

Generator = RRDBNet | SRVGGNetCompact


def build_generator(arch: str, architecture: Mapping[str, Any]) -> Generator:
    """The generator whose `arch` and `architecture` these are, with fresh weights.

    Raises ArgumentError for an unknown name or an option outside its range, TypeError for an
    option that the network does not have.
    """
    match arch:
        case RRDBNet.arch:
            return RRDBNet(**architecture)
        case SRVGGNetCompact.arch:
            return SRVGGNetCompact(**architecture)
        case _:
            raise ArgumentError(
                f"{arch!r} is no generator: take {RRDBNet.arch!r} or {SRVGGNetCompact.arch!r}"
            )
