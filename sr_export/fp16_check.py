"""What half precision does to a generator, measured in true FP16 arithmetic.

Inference engines on a CPU compute an FP16 graph in wider types, in which values that overflow on a
GPU stay finite. torch computes `half` tensors in true FP16 on a CPU too.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_export.report import Check
from sr_train.models.generator import Generator

__all__ = ["half_precision_checks", "precision_checks"]

MIN_PSNR = 45.0
FAR = 2 / 255
MAX_SHARE_FAR = 0.05
# FP16 ends at 65504. The margin is for images that are harder than the one measured here.
MAX_ACTIVATION = 16_000.0


def half_precision_checks(generator: Generator, image: Tensor) -> list[Check]:
    """The generator in half against itself in fp32, and its largest activation.

    Args:
        image: `(1, C, H, W)` float32 in [0, 1].
    """
    largest, layer = 0.0, ""

    def note_largest(name: str, output: Tensor) -> None:
        nonlocal largest, layer
        if (peak := output.abs().max().item()) > largest:
            largest, layer = peak, name

    overflowed: list[str] = []

    def note_overflow(name: str, output: Tensor) -> None:
        if not output.isfinite().all():
            overflowed.append(name)

    # Channels-last: on a CPU torch's contiguous half convolutions are ten times slower.
    half = copy.deepcopy(generator).half()
    half.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    half_image = image.half().contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        with _watching(generator, note_largest):
            wanted = generator(image)[0].numpy()
        with _watching(half, note_overflow):
            got = half(half_image)[0].float().numpy()
    where = f"the largest activation is in {layer}"
    if overflowed:
        where = f"the first layer that overflows in half is {overflowed[0]}"
    remedy = "export with --precision fp32"
    return [
        Check("largest activation", largest, MAX_ACTIVATION, hint=f"it is in {layer}: {remedy}"),
        *precision_checks("true half against fp32", got, wanted, f"{where}: {remedy}"),
    ]


def precision_checks(
    what: str, got: NDArray[np.float32], wanted: NDArray[np.float32], hint: str
) -> list[Check]:
    """PSNR (1 is white), and the share of values that are further than 2/255 away."""
    error = got - wanted
    with np.errstate(divide="ignore"):
        psnr = -10 * np.log10(np.mean(np.square(error, dtype=np.float64)))
    # Written so that NaN counts as far.
    share = 1 - np.mean(np.abs(error) <= FAR)
    return [
        Check(f"{what}: PSNR, dB", float(psnr), MIN_PSNR, at_least=True, hint=hint),
        Check(f"{what}: share beyond 2/255", float(share), MAX_SHARE_FAR, hint=hint),
    ]


@contextmanager
def _watching(generator: nn.Module, look: Callable[[str, Tensor], None]) -> Iterator[None]:
    """Show every layer's output to `look` while the block runs."""

    def hook(name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        return lambda _module, _inputs, output: look(name, output)

    handles = [
        module.register_forward_hook(hook(name))
        for name, module in generator.named_modules()
        if name
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
