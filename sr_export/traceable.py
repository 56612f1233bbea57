"""Equal code in the place of what a trace with symbolic sizes cannot follow, or only at length."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["traceable"]

MASKED = -100.0
"""What Swin transformers add to the attention between pixels that are no neighbours."""


@contextmanager
def traceable(network: nn.Module) -> Iterator[None]:
    """Replace, in the block, functions and methods that the parts of spandrel's networks have.

    Transformers count their windows by dividing floats, which ties a trace to one size, and fill
    the mask of each block by nine assignments. SeemoRe chooses its experts by their number.
    """
    kinds = {type(part): None for part in network.modules()}
    modules = {sys.modules[kind.__module__]: None for kind in kinds}
    places: list[tuple[Any, Mapping[str, Any]]] = [(each, FUNCTIONS) for each in modules]
    places += [(kind, METHODS) for kind in kinds if kind.__module__.startswith("spandrel.")]
    places += [(kind, {"forward": all_experts}) for kind in kinds if kind.__name__ == "MoELayer"]
    replaced: list[tuple[Any, str, Any]] = []
    try:
        for place, equal in places:
            for name, function in equal.items():
                if name in vars(place):
                    replaced.append((place, name, vars(place)[name]))
                    setattr(place, name, function)
        yield
    finally:
        for place, name, function in replaced:
            setattr(place, name, function)


def window_reverse(windows: Tensor, window: Any, *size: Any) -> Tensor:
    """`(N·windows, h, w, C)` to `(N, H, W, C)`, the windows row by row."""
    height, width = size if len(size) == 2 else size[0]
    rows, columns = window if isinstance(window, list | tuple) else (window, window)
    return windows_to_image(windows, rows, columns, height, width)


def windows_to_image(windows: Tensor, rows: int, columns: int, height: int, width: int) -> Tensor:
    """The same of `(N·windows, h·w, C)`, too."""
    channels = windows.shape[-1]
    grid = windows.view(-1, height // rows, width // columns, rows, columns, channels)
    return grid.permute(0, 1, 3, 2, 4, 5).reshape(-1, height, width, channels)


def calculate_mask(
    block: Any, *size: Any, dtype: torch.dtype | None = None
) -> Tensor | tuple[Tensor, Tensor]:
    """`(windows, pixels, pixels)` for windows that are shifted around the image's border."""
    height, width = size if len(size) == 2 else size[0]
    if hasattr(block, "split_size"):  # DAT and RGT: in both orientations
        (rows, columns), (down, across) = block.split_size, block.shift_size
        one = _mask((height, rows, down), (width, columns, across), dtype)
        return one, _mask((height, columns, across), (width, rows, down), dtype)
    side = block.window_size
    shift = getattr(block, "shift_size", side // 2)
    return _mask((height, side, shift), (width, side, shift), dtype)


def _mask(
    vertical: tuple[int, int, int], horizontal: tuple[int, int, int], dtype: torch.dtype | None
) -> Tensor:
    """From the length, the window and the shift along each axis."""
    (height, rows, _), (width, columns, _) = vertical, horizontal
    regions = 3 * _regions(*vertical)[:, None] + _regions(*horizontal)
    windows = regions.view(height // rows, rows, width // columns, columns).transpose(1, 2)
    pixels = windows.reshape(-1, rows * columns)
    return MASKED * (pixels[:, None] != pixels[:, :, None]).to(dtype or torch.float32)


def _regions(length: int, window: int, shift: int) -> Tensor:
    """0, 1 in the last window, and 2 in the part of it that comes from the opposite border."""
    at = torch.arange(length)
    return (at >= length - window).int() + (at >= length - shift).int()


def index_reverse(order: Tensor) -> Tensor:
    """The order that undoes another one, `(N, pixels)`, of each image of the batch."""
    places = torch.arange(order.shape[1]).expand_as(order)
    return torch.zeros_like(order).scatter(1, order, places)


def all_experts(layer: Any, inputs: Tensor, k: Tensor) -> Tensor:
    """`MoELayer.forward` as in training: every expert, and a weight of 0 if it is not chosen."""
    weights = layer.gate(inputs).softmax(dim=1)
    chosen_weights, chosen = weights.topk(layer.num_expert)
    shares = torch.zeros_like(weights).scatter(1, chosen, chosen_weights)
    output = inputs
    for number, expert in enumerate(layer.experts):
        output = output + expert(inputs, k) * shares[:, number : number + 1, None, None]
    return output


FUNCTIONS = {
    "window_reverse": window_reverse,
    "windows2img": windows_to_image,
    "index_reverse": index_reverse,
}
METHODS = {"calculate_mask": calculate_mask}
