"""What every architecture provides: a network that states its facts, and a recogniser."""

import copy
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from sr_runtime.errors import ArgumentError, ModelError
from sr_runtime.model_info import LARGEST_SCALE
from sr_runtime.printable import some

__all__ = [
    "IMAGE_CHANNELS",
    "Architecture",
    "Generator",
    "Recognised",
    "Recogniser",
    "check_names",
    "check_sizes",
    "conv_channels",
    "convolutions_to_fill",
    "shuffle_scale",
]

Architecture = dict[str, Any]
"""The keyword arguments that a network is built with: numbers, booleans and names."""

IMAGE_CHANNELS = (1, 3, 4)
"""Channels of the images that a network may take or give: gray, RGB, RGBA."""


class Generator(nn.Module):
    """A network from `(N, C, H, W)` in [0, 1] to `(N, C, scale·H, scale·W)`, not clamped.

    The attributes are all that training, export and tiling need to know about it. This is a class,
    not a Protocol, because generators are passed to functions that take an nn.Module, such as
    torch.onnx.export and DistributedDataParallel, and Python's types cannot say "an nn.Module with
    these attributes". The constructor asks for every fact, so none can be forgotten.
    """

    arch: ClassVar[str]
    """The name in files and in the registry, "RRDBNet" for instance."""

    repeated: str | None = None
    """The name of an nn.Sequential of the folded network, if there is one, whose modules differ
    only in their weights. Export then traces the first of them and repeats it."""

    memory_format: ClassVar[torch.memory_format] = torch.channels_last
    """The layout in which a CPU computes it fastest."""

    forward: Callable[[Tensor], Tensor]

    def __init__(
        self,
        *,
        scale_factor: int,
        in_channels: int,
        out_channels: int,
        multiple_of: int = 1,
        min_side: int = 1,
        receptive_radius: int | None,
        supports_half: bool = True,
        architecture: Architecture,
    ) -> None:
        super().__init__()
        self.scale_factor = scale_factor
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.multiple_of = multiple_of
        """Input height and width are multiples of this, and so are the origins of tiles."""
        self.min_side = min_side
        """Least input height and width, a multiple of `multiple_of`."""
        self.receptive_radius = receptive_radius
        """LR pixels on either side of an output pixel beyond which the input cannot change it;
        None where there is no such limit, or it is not known."""
        self.supports_half = supports_half
        """Whether its forward pass can be computed in half precision."""
        self.architecture = architecture
        """What the constructor was given. Files record it, and it rebuilds the network."""

    def folded(self) -> Self:
        """A copy for inference that computes the same with fewer operations: what is exported.

        An architecture that has constant factors overrides it and multiplies weights by them.
        """
        return copy.deepcopy(self).eval()

    def stored(self) -> dict[str, Tensor]:
        """The tensors as published files of this architecture hold them, for its recogniser.

        An architecture whose files also hold what follows from other tensors overrides it.
        """
        return self.state_dict()


@dataclass(frozen=True)
class Recognised:
    """A network found in a file: how to build it, and its tensors under the network's own names."""

    architecture: Architecture
    state: Mapping[str, Tensor]


Recogniser = Callable[[Mapping[str, Tensor], Mapping[str, Any]], Recognised | None]
"""Reads the architecture from the names and shapes of tensors.

None if they belong to another architecture.

The second argument holds options that are known from elsewhere: from the user, or from the metadata
of our own files. It settles only what names and shapes leave open: a file may claim anything there,
so sizes come from the tensors. Raises ModelError if the tensors do not make a network.
"""


def check_names(found: Collection[str], expected: Collection[str]) -> None:
    """Raise ModelError naming the first few tensors that are missing or left over."""
    missing, left_over = set(expected) - set(found), set(found) - set(expected)
    if missing or left_over:
        raise ModelError(
            f"the tensors do not make one network, with {_some(missing)} missing and "
            f"{_some(left_over)} left over: the file is damaged, or a variant that is not supported"
        )


def conv_channels(state: Mapping[str, Tensor], convolution: str) -> tuple[int, int]:
    """Output and input channels of a 3×3 convolution; ModelError if it is missing or not 3×3."""
    name = f"{convolution}.weight"
    check_names(state.keys() & {name}, {name})
    match tuple(state[name].shape):
        case (outputs, inputs, 3, 3) if outputs and inputs:
            return outputs, inputs
        case shape:
            raise ModelError(f"{name} has the shape {shape}, and a 3×3 convolution was expected")


def convolutions_to_fill(module: nn.Module) -> Iterator[tuple[str, nn.Conv2d]]:
    """The convolutions in `module` that have weights to initialise, by name.

    On the meta device there are none, and trying takes 1 s: it imports dynamo.
    """
    for name, part in module.named_modules():
        if isinstance(part, nn.Conv2d) and not part.weight.is_meta:
            yield name, part


def shuffle_scale(channels: int, outputs: int) -> int:
    """The factor by which a pixel-shuffle enlarges that makes `channels` of `outputs` channels.

    Raises ModelError if there is none.
    """
    scale = math.isqrt(outputs // channels)
    if outputs != channels * scale**2:
        raise ModelError(
            f"the network ends with {outputs} channels, which a pixel-shuffle turns into "
            f"{channels}: {channels} times a square was expected"
        )
    return scale


def check_sizes(options: Architecture, *counts: str) -> None:
    """Raise ArgumentError unless `scale_factor`, `img_channels` and the `counts` can be built."""
    if options["img_channels"] not in IMAGE_CHANNELS:
        raise ArgumentError(
            f"img_channels is {options['img_channels']}: it must be one of {IMAGE_CHANNELS}"
        )
    if not 1 <= options["scale_factor"] <= LARGEST_SCALE:
        raise ArgumentError(
            f"scale_factor is {options['scale_factor']}: it must be from 1 to {LARGEST_SCALE}"
        )
    for name in counts:
        if options[name] < 1:
            raise ArgumentError(f"{name} is {options[name]}: it must be at least 1")


def _some(names: set[str]) -> str:
    if not names:
        return "nothing"
    return some([repr(name) for name in sorted(names)], 3)
