"""Gaussian and Poisson noise, in colour or the same in all channels."""

from dataclasses import dataclass
from functools import cache
from math import lgamma

import numpy as np

from sr_runtime.tensor import LUMA
from sr_train.config.degradation import DegradationPass
from sr_train.data.degradation.draws import uniform
from sr_train.data.degradation.pixels import Floats, pixels_of

__all__ = ["GaussianNoise", "PoissonNoise", "draw_noise"]

PHOTONS = 256
"""Those of a white pixel."""
QUANTILES = 4096


@dataclass(frozen=True)
class GaussianNoise:
    """Noise that is equally strong everywhere, as of a sensor's electronics."""

    sigma: float
    """Standard deviation, in 1/255."""
    gray: bool

    def __call__(self, image: Floats, generator: np.random.Generator) -> Floats:
        """Add noise to (H, W, C) in [0, 1], and clip."""
        shape = *image.shape[:2], 1 if self.gray else image.shape[2]
        noise = generator.standard_normal(shape, np.float32)
        noise *= np.float32(self.sigma / 255)
        return _sum(image, noise)


@dataclass(frozen=True)
class PoissonNoise:
    """Noise of the photons that are counted, stronger where there is more light."""

    scale: float
    """Factor of the noise of 256 photons in a white pixel."""
    gray: bool

    def __call__(self, image: Floats, generator: np.random.Generator) -> Floats:
        """Add noise to (H, W, C) in [0, 1], and clip."""
        light = image
        if self.gray and image.shape[2] == 3:
            light = (image @ LUMA)[:, :, np.newaxis]
        levels = pixels_of(light)
        draws = generator.integers(QUANTILES, size=levels.shape, dtype=np.uint16)
        noise = _photon_noise()[levels, draws]
        noise *= np.float32(self.scale)
        return _sum(image, noise)


def draw_noise(
    settings: DegradationPass, generator: np.random.Generator
) -> list[GaussianNoise | PoissonNoise]:
    """The noise of a pass, which may have none."""
    if generator.random() >= settings.noise_probability:
        return []
    is_gaussian = generator.random() < settings.gaussian_probability
    gray = generator.random() < settings.gray_noise_probability
    if is_gaussian:
        return [GaussianNoise(uniform(settings.gaussian_sigma, generator), gray)]
    return [PoissonNoise(uniform(settings.poisson_scale, generator), gray)]


def _sum(image: Floats, noise: Floats) -> Floats:
    noisy: Floats = image + noise
    return noisy.clip(0, 1, out=noisy)


@cache
def _photon_noise() -> Floats:
    """(256, QUANTILES): quantiles of the noise at each level of light.

    Choosing one of them at random is ten times faster than NumPy's exact draw.
    """
    counts = np.arange(2 * PHOTONS)
    log_factorials = np.array([lgamma(count + 1) for count in counts])
    probabilities = (np.arange(QUANTILES) + 0.5) / QUANTILES
    table = np.zeros((256, QUANTILES), np.float32)
    for level in range(1, 256):
        mean = level / 255 * PHOTONS
        likelihood = np.exp(counts * np.log(mean) - mean - log_factorials)
        table[level] = (np.searchsorted(likelihood.cumsum(), probabilities) - mean) / PHOTONS
    return table
