"""The section `degradation`: how LR is made that looks like the photos which users have.

The process is that of Real-ESRGAN (Wang et al. 2021, arXiv:2107.10833): blur, resize, noise and
JPEG, twice, and a last sinc filter. `REAL` has the ranges that Real-ESRGAN published; `MILD` is for
photos as phones and websites give them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from sr_train.config.limits import (
    ORDERED,
    Fraction,
    Limit,
    Positive,
    QualityRange,
    Weight,
)

__all__ = [
    "MILD", "REAL", "Degradation", "DegradationName", "DegradationPass", "DegradationProcess",
    "KernelKind", "Method",
]  # fmt: skip

DegradationName = Literal["mild", "real", "jpeg30"]
"""What whole images are measured with: `sr_train.data.degradation.named`."""
KernelKind = Literal[
    "isotropic",
    "anisotropic",
    "generalized_isotropic",
    "generalized_anisotropic",
    "plateau_isotropic",
    "plateau_anisotropic",
]
Change = Literal["up", "down", "keep"]
Method = Literal["area", "bilinear", "bicubic", "antialiased"]

NOT_ALL_ZERO = Limit("not all 0", lambda weights: sum(weights.values()) > 0)

Kernels = Annotated[Mapping[KernelKind, Weight], NOT_ALL_ZERO]
Changes = Annotated[Mapping[Change, Weight], NOT_ALL_ZERO]
Methods = Annotated[Mapping[Method, Weight], NOT_ALL_ZERO]
# Beyond these two limits a crop would only fill the memory.
KernelSize = Annotated[int, Limit("odd and from 1 to 101", lambda n: 1 <= n <= 101 and n % 2)]
KernelSizes = Annotated[tuple[KernelSize, KernelSize], ORDERED]
Factors = Annotated[
    tuple[Positive, Positive],
    Limit("1 between them and none above 16", lambda pair: pair[0] <= 1 <= pair[1] <= 16),
]
PositiveRange = Annotated[tuple[Positive, Positive], ORDERED]
NonNegativeRange = Annotated[tuple[Weight, Weight], ORDERED]
AroundOne = Annotated[
    tuple[Positive, Positive], Limit("1 between them", lambda pair: pair[0] <= 1 <= pair[1])
]


@dataclass(frozen=True, kw_only=True)
class DegradationPass:
    """One pass of a degradation: blur, resize, noise, JPEG."""

    blur_probability: Fraction = 1.0
    """Probability that the image is blurred."""
    sinc_probability: Fraction = 0.1
    """Share of the blurs that are a sinc filter, which rings like sharpened photos."""
    kernels: Kernels = field(
        default_factory=lambda: {
            "isotropic": 0.45,
            "anisotropic": 0.25,
            "generalized_isotropic": 0.12,
            "generalized_anisotropic": 0.03,
            "plateau_isotropic": 0.12,
            "plateau_anisotropic": 0.03,
        }
    )
    """Weight of each kind of the other blurs; kinds that are left out are not drawn."""
    kernel_size: KernelSizes = (7, 21)
    """Smallest and largest side of a kernel, in pixels."""
    blur_sigma: PositiveRange = (0.2, 3.0)
    """Smallest and largest standard deviation of a blur, in pixels."""
    generalized_shape: AroundOne = (0.5, 4.0)
    """Exponents β of generalised Gaussians, half of them below 1; 1 is a Gaussian."""
    plateau_shape: AroundOne = (1.0, 2.0)
    """Exponents β of plateau kernels; larger ones have a flatter top."""
    resize: Changes = field(default_factory=lambda: {"up": 0.2, "down": 0.7, "keep": 0.1})
    """Weights of enlarging, shrinking, and keeping the size."""
    resize_factor: Factors = (0.15, 1.5)
    """Smallest factor of shrinking and largest of enlarging; the second pass begins at LR size."""
    resize_methods: Methods = field(
        default_factory=lambda: {"area": 1.0, "bilinear": 1.0, "bicubic": 1.0}
    )
    """Weights of the methods; bilinear and bicubic alias, antialiased is MATLAB's bicubic."""
    noise_probability: Fraction = 1.0
    """Probability of noise."""
    gaussian_probability: Fraction = 0.5
    """Share of the noise that is Gaussian; the rest is Poisson noise."""
    gaussian_sigma: NonNegativeRange = (1.0, 30.0)
    """Smallest and largest standard deviation of Gaussian noise, in 1/255."""
    poisson_scale: NonNegativeRange = (0.05, 3.0)
    """Smallest and largest factor of Poisson noise; 1 is that of 256 photons in a white pixel."""
    gray_noise_probability: Fraction = 0.4
    """Share of the noise that is the same in all channels."""
    jpeg_probability: Fraction = 1.0
    """Probability of JPEG compression."""
    jpeg_quality: QualityRange = (30, 95)
    """Smallest and largest JPEG quality."""


@dataclass(frozen=True, kw_only=True)
class DegradationProcess:
    """A whole degradation, from HR to LR."""

    first: DegradationPass = field(default_factory=DegradationPass)
    second: DegradationPass = field(
        default_factory=lambda: DegradationPass(
            blur_probability=0.8,
            blur_sigma=(0.2, 1.5),
            resize={"up": 0.3, "down": 0.4, "keep": 0.3},
            resize_factor=(0.3, 1.2),
            gaussian_sigma=(1.0, 25.0),
            poisson_scale=(0.05, 2.5),
        )
    )
    final_sinc_probability: Fraction = 0.8
    """Probability of a sinc filter at the end."""
    final_jpeg_probability: Fraction = 0.5
    """Probability that the last JPEG compression comes after resize and sinc, and not before."""


REAL = DegradationProcess()
"""As published for RealESRGAN_x4plus, except that the photons of Poisson noise are 256."""

SMOOTH: Mapping[Method, float] = {"area": 0.3, "bilinear": 0.1, "bicubic": 0.1, "antialiased": 0.5}

MILD = DegradationProcess(
    first=DegradationPass(
        blur_probability=0.4,
        kernel_size=(7, 13),
        blur_sigma=(0.2, 1.2),
        resize={"up": 0.1, "down": 0.4, "keep": 0.5},
        resize_factor=(0.5, 1.2),
        resize_methods=SMOOTH,
        noise_probability=0.5,
        gaussian_sigma=(0.5, 6.0),
        poisson_scale=(0.05, 0.6),
        jpeg_probability=0.5,
        jpeg_quality=(75, 95),
    ),
    second=DegradationPass(
        blur_probability=0.2,
        kernel_size=(7, 13),
        blur_sigma=(0.2, 0.8),
        resize={"up": 0.1, "down": 0.2, "keep": 0.7},
        resize_factor=(0.7, 1.2),
        resize_methods=SMOOTH,
        noise_probability=0.3,
        gaussian_sigma=(0.5, 3.0),
        poisson_scale=(0.05, 0.3),
        jpeg_probability=0.9,
        jpeg_quality=(75, 95),
    ),
    final_sinc_probability=0.2,
)
"""Little blur and noise, seldom aliasing, and JPEG of good quality."""


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """Simulated degradation of training crops, in place of the prepared LR."""

    probability: Fraction = 0.0
    """Share of the crops whose LR is degraded; the others keep the prepared, clean one."""
    mild_share: Fraction = 0.0
    """Share of the degraded crops that get the ranges of `mild`; the others get those of `real`."""
    usm_targets: bool = False
    """Sharpen the HR of degraded crops by an unsharp mask, before they are degraded."""
    real: DegradationProcess = field(default_factory=lambda: REAL)
    mild: DegradationProcess = field(default_factory=lambda: MILD)
