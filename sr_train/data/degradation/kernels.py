"""Blur: the kernels of Real-ESRGAN (arXiv:2107.10833), and the filters that apply them.

Kernels are odd squares, symmetric about their middle, so that nothing shifts; images are mirrored
at their borders.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sr_runtime.errors import require_extra
from sr_train.config.degradation import DegradationPass, KernelKind
from sr_train.data.degradation.draws import pick, uniform
from sr_train.data.degradation.pixels import Floats

with require_extra("train"):
    import cv2
    from scipy.special import j1

__all__ = ["Blur", "Sinc", "draw_blur", "draw_sinc"]


@dataclass(frozen=True)
class Blur:
    """A Gaussian, generalised Gaussian or plateau kernel."""

    kind: KernelKind
    size: int
    sigma: tuple[float, float]
    """Standard deviations along the kernel's axes, in pixels."""
    angle: float
    """From the image's x axis to the first of these, in radians."""
    shape: float
    """β."""

    def __call__(self, image: Floats, generator: np.random.Generator) -> Floats:
        """Blur (H, W, C)."""
        return _filtered(image, self.kernel())

    def kernel(self) -> Floats:
        """(size, size), of sum 1: exp(−d^β / 2), or 1 / (1 + d^β), of the squared distance d."""
        x, y = _grid(self.size)
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        along, across = (cos * x + sin * y) / self.sigma[0], (cos * y - sin * x) / self.sigma[1]
        power = (along**2 + across**2) ** self.shape
        return _normal(1 / (1 + power) if "plateau" in self.kind else np.exp(-power / 2))


@dataclass(frozen=True)
class Sinc:
    """An ideal low-pass filter, cut off by its size: edges overshoot and ring."""

    size: int
    cutoff: float
    """In radians per pixel; π keeps all that the grid can hold."""

    def __call__(self, image: Floats, generator: np.random.Generator) -> Floats:
        """Filter (H, W, C)."""
        return _filtered(image, self.kernel())

    def kernel(self) -> Floats:
        """(size, size), of sum 1: J₁(ω·r) / r."""
        distance = np.maximum(np.hypot(*_grid(self.size)), 1e-6)  # near 0 it tends to ω/2
        return _normal(j1(self.cutoff * distance) / distance)


def draw_blur(settings: DegradationPass, generator: np.random.Generator) -> list[Blur | Sinc]:
    """The blur of a pass, which may have none."""
    if generator.random() >= settings.blur_probability:
        return []
    if generator.random() < settings.sinc_probability:
        size = _draw_size(settings, generator)
        # A small kernel cannot hold a low cutoff's long waves.
        return [Sinc(size, uniform((np.pi / (3 if size < 13 else 5), np.pi), generator))]
    kind = pick(settings.kernels, generator)
    sigma = uniform(settings.blur_sigma, generator)
    sigmas, angle = (sigma, sigma), 0.0
    if "anisotropic" in kind:
        sigmas = sigma, uniform(settings.blur_sigma, generator)
        angle = uniform((-np.pi, np.pi), generator)
    shape = 1.0
    if kind.startswith("generalized"):
        shape = _draw_shape(settings.generalized_shape, generator)
    elif kind.startswith("plateau"):
        shape = _draw_shape(settings.plateau_shape, generator)
    return [Blur(kind, _draw_size(settings, generator), sigmas, angle, shape)]


def draw_sinc(settings: DegradationPass, generator: np.random.Generator) -> Sinc:
    """The last filter, whose size is that of the second pass."""
    return Sinc(_draw_size(settings, generator), uniform((np.pi / 3, np.pi), generator))


def _draw_size(settings: DegradationPass, generator: np.random.Generator) -> int:
    smallest, largest = settings.kernel_size
    return smallest + 2 * int(generator.integers((largest - smallest) // 2 + 1))


def _draw_shape(between: tuple[float, float], generator: np.random.Generator) -> float:
    """Below 1 and above it equally often, as wide as each range may be."""
    below, above = (between[0], 1.0), (1.0, between[1])
    return uniform(below if generator.random() < 0.5 else above, generator)


def _grid(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    places = np.arange(size) - size // 2.0
    x, y = np.meshgrid(places, places)
    return x, y


def _normal(kernel: NDArray[np.float64]) -> Floats:
    normal: Floats = (kernel / kernel.sum()).astype(np.float32)
    return normal


def _filtered(image: Floats, kernel: Floats) -> Floats:
    result: Floats = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return result
