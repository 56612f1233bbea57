"""The architectures, one row each; `docs/add-an-architecture.md` shows how to add one."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from sr_runtime.errors import ArgumentError
from sr_train.models import compact, rrdbnet_keys
from sr_train.models.compact import SRVGGNetCompact
from sr_train.models.generator import Generator, Recognised, Recogniser
from sr_train.models.rrdbnet import RRDBNet

__all__ = ["ARCHITECTURES", "build_generator", "recognise"]

ARCHITECTURES: Mapping[str, tuple[Recogniser, Callable[..., Generator]]] = {
    RRDBNet.arch: (rrdbnet_keys.recognise, RRDBNet),
    SRVGGNetCompact.arch: (compact.recognise, SRVGGNetCompact),
}
"""By name: what recognises the network in a file, and what builds it."""


def build_generator(arch: str, architecture: Mapping[str, Any]) -> Generator:
    """The generator with this name and architecture, with fresh weights.

    Raises ArgumentError for an unknown name or an option outside its range, TypeError for an
    option that the network does not have.
    """
    if arch not in ARCHITECTURES:
        raise ArgumentError(f"{arch!r} is no generator: take one of {', '.join(ARCHITECTURES)}")
    _, build = ARCHITECTURES[arch]
    return build(**architecture)


def recognise(
    tensors: Mapping[str, Tensor], scale: int | None = None
) -> tuple[str, Recognised] | None:
    """The name of the architecture that `tensors` belong to, and its sizes; None if unknown.

    Raises ModelError if the tensors are of a known kind but do not make a network.
    """
    for arch, (recognise_one, _) in ARCHITECTURES.items():
        if found := recognise_one(tensors, scale):
            return arch, found
    return None
