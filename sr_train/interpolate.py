"""Mixing the weights of generators: interpolation between two, and the average of several."""

from collections.abc import Sequence

import torch

from sr_runtime.errors import ArgumentError
from sr_train.models.generator import Generator
from sr_train.models.registry import build_generator

__all__ = ["average", "interpolate"]


def interpolate(psnr: Generator, gan: Generator, alpha: float) -> Generator:
    """Network interpolation (ESRGAN, section 3.4): (1 − α)·PSNR + α·GAN.

    A larger α gives more texture and more noise. Raises ArgumentError for an α outside [0, 1], and
    for generators of different architectures.
    """
    if not 0 <= alpha <= 1:
        raise ArgumentError(f"alpha is {alpha}: it must be between 0 (PSNR) and 1 (GAN)")
    return _mixed([psnr, gan], [1 - alpha, alpha])


def average(generators: Sequence[Generator]) -> Generator:
    """The mean of the weights, for instance of several checkpoints of one run.

    Raises ArgumentError for fewer than two, and for generators of different architectures.
    """
    if len(generators) < 2:
        raise ArgumentError(
            f"an average takes two generators or more, and {len(generators)} is given: give the "
            "others too"
        )
    return _mixed(generators, [1 / len(generators)] * len(generators))


@torch.no_grad()
def _mixed(generators: Sequence[Generator], shares: Sequence[float]) -> Generator:
    """The weighted sum, in float64 so that equal networks give exactly themselves."""
    first, *others = ({"arch": each.arch, **each.architecture} for each in generators)
    for other in others:
        for name, value in first.items():
            if other.get(name) != value:
                raise ArgumentError(
                    f"cannot mix generators with {name} {value} and {other[name]}: take generators "
                    "of one architecture, best from one run"
                )
    mixed = build_generator(generators[0].arch, generators[0].architecture)
    states = [generator.state_dict() for generator in generators]
    mixed.load_state_dict(
        {
            name: sum(
                share * state[name].double().cpu()
                for share, state in zip(shares, states, strict=True)
            )
            for name in states[0]
        }
    )
    return mixed.eval()
