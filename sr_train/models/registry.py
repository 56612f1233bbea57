"""The architectures, one row each; `docs/add-an-architecture.md` shows how to add one."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor

from sr_runtime.errors import ArgumentError
from sr_train.models import compact, realplksr, rrdbnet_keys, span
from sr_train.models.compact import SRVGGNetCompact
from sr_train.models.generator import Generator, Recognised, Recogniser
from sr_train.models.realplksr import RealPLKSR
from sr_train.models.rrdbnet import RRDBNet
from sr_train.models.span import SPAN

__all__ = ["ARCHITECTURES", "build_generator", "recognise"]


class Row(NamedTuple):
    """How an architecture is found in a file, and built."""

    names: re.Pattern[str]
    """Matches the beginning of names that are typical of its tensors: where one begins, in the
    middle of a longer name for instance, its network may be."""
    recognise: Recogniser
    build: Callable[..., Generator]


ARCHITECTURES: Mapping[str, Row] = {
    RRDBNet.arch: Row(rrdbnet_keys.NAMES, rrdbnet_keys.recognise, RRDBNet),
    SRVGGNetCompact.arch: Row(compact.NAMES, compact.recognise, SRVGGNetCompact),
    SPAN.arch: Row(span.NAMES, span.recognise, SPAN),
    RealPLKSR.arch: Row(realplksr.NAMES, realplksr.recognise, RealPLKSR),
}


def build_generator(arch: str, architecture: Mapping[str, Any]) -> Generator:
    """The generator with this name and architecture, with fresh weights.

    Raises ArgumentError for an unknown name or an option outside its range, TypeError for an
    option that the network does not have.
    """
    if arch not in ARCHITECTURES:
        raise ArgumentError(f"{arch!r} is no generator: take one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[arch].build(**architecture)


def recognise(
    tensors: Mapping[str, Tensor], known: Mapping[str, Any] = MappingProxyType({})
) -> tuple[str, Recognised] | None:
    """The name of the architecture that `tensors` belong to, and its sizes; None if unknown.

    `known` is as for a `Recogniser`. Raises ModelError if the tensors are of a known kind but do
    not make a network.
    """
    for arch, row in ARCHITECTURES.items():
        if found := row.recognise(tensors, known):
            return arch, found
    return None
