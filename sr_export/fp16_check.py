"""What half precision does to a generator, measured in true FP16 arithmetic.

Inference engines on a CPU compute an FP16 graph in wider types, in which values that overflow on a
GPU stay finite. torch computes `half` tensors in true FP16 on a CPU too.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_export.limits import FAR, MAX_ACTIVATION, MAX_SHARE_FAR, MIN_PSNR, WORSE_THAN_HALF
from sr_export.report import Check
from sr_train.models.generator import Generator

__all__ = ["half_precision_checks", "least_psnr", "overflow_checks", "precision_checks"]


def half_precision_checks(generator: Generator, image: Tensor) -> list[Check]:
    """The generator in half against itself in fp32, and its largest activation.

    Args:
        image: `(1, C, H, W)` float32 in [0, 1].
    """
    wanted, peaks = _run(generator, image)
    got, half_peaks = _run(generator, image.half())
    return overflow_checks(got, wanted, peaks, half_peaks, remedy="export with --precision fp32")


def overflow_checks(
    got: NDArray[np.float32],
    wanted: NDArray[np.float32],
    peaks: Sequence[tuple[str, float]],
    half_peaks: Sequence[tuple[str, float]],
    *,
    remedy: str,
) -> list[Check]:
    """An output of true half against fp32's, and every layer's largest magnitude, in order."""
    layer, largest = max(peaks, key=lambda peak: peak[1])
    where = f"the largest activation is in {layer}"
    if overflowed := [name for name, peak in half_peaks if not math.isfinite(peak)]:
        where = f"the first layer that overflows in half is {overflowed[0]}"
    checks = [
        Check("largest activation", largest, MAX_ACTIVATION, hint=f"it is in {layer}: {remedy}"),
        *precision_checks("true half against fp32", got, wanted, f"{where}: {remedy}"),
    ]
    return [replace(check, fault="half precision is not enough for it") for check in checks]


def least_psnr(true_half: float, *, rounds_to_levels: bool) -> float:
    """What the PSNR of a file must be, from that of the network in true half; both in dB.

    Args:
        rounds_to_levels: Whether the file's output, and what it is compared with, are uint8. A
            value then is a level away as often as its small error crosses the border of one.
    """
    error = 10 ** ((WORSE_THAN_HALF - true_half) / 10)
    if rounds_to_levels:
        error += math.sqrt(error) / 255
    return max(MIN_PSNR, -10 * math.log10(error)) if error > 0 else MIN_PSNR


def precision_checks(
    what: str,
    got: NDArray[np.float32],
    wanted: NDArray[np.float32],
    hint: str,
    *,
    least: float = MIN_PSNR,
) -> list[Check]:
    """PSNR (1 is white), and the share of values that are further than 2/255 away."""
    error = got - wanted
    with np.errstate(divide="ignore"):
        psnr = -10 * np.log10(np.mean(np.square(error, dtype=np.float64)))
    # Written so that NaN counts as far.
    share = 1 - np.mean(np.abs(error) <= FAR)
    return [
        Check(f"{what}: PSNR, dB", float(psnr), least, at_least=True, hint=hint),
        Check(f"{what}: share beyond 2/255", float(share), MAX_SHARE_FAR, hint=hint),
    ]


def _run(
    generator: Generator, image: Tensor
) -> tuple[NDArray[np.float32], list[tuple[str, float]]]:
    """The output in the image's type, and every layer's largest magnitude, in order."""
    # Folded before it is rounded, as in the file.
    generator = generator.folded().to(image.dtype)
    # On a CPU torch's contiguous half convolutions are ten times slower.
    generator.to(memory_format=generator.memory_format)  # type: ignore[call-overload]
    peaks: list[tuple[str, float]] = []
    for name, layer in generator.named_modules():
        if name:
            layer.register_forward_hook(
                lambda _layer, _inputs, output, name=name: peaks.extend(
                    (name, each.abs().max().item()) for each in _tensors(output)
                )
            )
    with torch.inference_mode():
        output = generator(image.contiguous(memory_format=generator.memory_format))
    return output[0].float().numpy(), peaks


def _tensors(output: object) -> Iterator[Tensor]:
    """The numbers among what a layer returns: one tensor, or several in a tuple or a list."""
    if isinstance(output, Tensor) and output.is_floating_point():
        yield output
    elif isinstance(output, tuple | list):
        for each in output:
            yield from _tensors(each)
