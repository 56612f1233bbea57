"""What is drawn for a degradation, against the published distributions and the configuration."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from math import pi

import numpy as np
import pytest

from sr_train.config.degradation import MILD, REAL, DegradationPass, DegradationProcess
from sr_train.data.degradation.jpeg import Jpeg, draw_jpeg
from sr_train.data.degradation.kernels import Blur, Sinc, draw_blur
from sr_train.data.degradation.noise import GaussianNoise, PoissonNoise, draw_noise
from sr_train.data.degradation.process import Resize, Step, draw

N = 2000
HR, LR = (400, 600), (100, 150)
# The weights that RealESRGAN_x4plus was trained with.
KERNELS = {
    "isotropic": 0.45,
    "anisotropic": 0.25,
    "generalized_isotropic": 0.12,
    "generalized_anisotropic": 0.03,
    "plateau_isotropic": 0.12,
    "plateau_anisotropic": 0.03,
}


@pytest.fixture(scope="module")
def drawn() -> list[list[Step]]:
    return [draw(REAL, HR, LR, np.random.default_rng(i)) for i in range(N)]


def is_binomial(count: int, probability: float, n: int = N) -> bool:
    """Within four standard deviations."""
    return abs(count - n * probability) <= 4 * (n * probability * (1 - probability)) ** 0.5


def is_uniform(values: Iterable[float], low: float, high: float) -> bool:
    """Between both, as many in each tenth as expected."""
    values = list(values)
    assert low <= min(values) <= max(values) <= high
    tenths = np.histogram(values, 10, (low, high))[0]
    return all(is_binomial(count, 0.1, len(values)) for count in tenths)


def passes(drawn: list[list[Step]]) -> tuple[list[list[Step]], list[list[Step]]]:
    """The steps of the first and of the second pass, which begins after the first JPEG."""
    ends = [next(i for i, step in enumerate(steps) if isinstance(step, Jpeg)) for steps in drawn]
    return (
        [steps[: end + 1] for steps, end in zip(drawn, ends, strict=True)],
        [steps[end + 1 :] for steps, end in zip(drawn, ends, strict=True)],
    )


def test_kernels_are_as_frequent_as_published() -> None:
    settings = REAL.first
    blurs = [draw_blur(settings, np.random.default_rng(i))[0] for i in range(N)]
    kinds = Counter(blur.kind if isinstance(blur, Blur) else "sinc" for blur in blurs)
    assert is_binomial(kinds["sinc"], 0.1), kinds
    for kind, share in KERNELS.items():
        assert is_binomial(kinds[kind], 0.9 * share), kinds
    sizes = Counter(blur.size for blur in blurs)
    assert sizes.keys() == {7, 9, 11, 13, 15, 17, 19, 21}
    assert all(is_binomial(count, 1 / 8) for count in sizes.values()), sizes


def test_kernels_have_the_published_ranges() -> None:
    kernels = dict.fromkeys(KERNELS, 1.0)
    settings = replace(REAL.first, sinc_probability=0, kernels=kernels)
    blurs = [draw_blur(settings, np.random.default_rng(i))[0] for i in range(2 * N)]
    blurs = [blur for blur in blurs if isinstance(blur, Blur)]
    assert is_uniform((blur.sigma[0] for blur in blurs), 0.2, 3)
    skewed = [blur for blur in blurs if "anisotropic" in blur.kind]
    round_ = [blur for blur in blurs if "anisotropic" not in blur.kind]
    assert is_uniform((blur.sigma[1] for blur in skewed), 0.2, 3)
    assert is_uniform((blur.angle for blur in skewed), -pi, pi)
    assert all(blur.sigma[0] == blur.sigma[1] for blur in round_)
    for name, low, high in (("generalized", 0.5, 4), ("plateau", 1, 2)):
        shapes = [blur.shape for blur in blurs if blur.kind.startswith(name)]
        below = [shape for shape in shapes if shape <= 1]
        assert is_binomial(len(below), 0.5, len(shapes))
        assert low <= min(below) <= (1 + low) / 2 + 0.1
        assert is_uniform((shape for shape in shapes if shape > 1), 1, high)
    assert {blur.shape for blur in blurs if blur.kind in ("isotropic", "anisotropic")} == {1.0}


def test_cutoffs_of_sinc_filters_have_the_published_ranges() -> None:
    settings = replace(REAL.first, sinc_probability=1)
    filters = [draw_blur(settings, np.random.default_rng(i))[0] for i in range(N)]
    sincs = [each for each in filters if isinstance(each, Sinc)]
    assert len(sincs) == N
    assert is_uniform((each.cutoff for each in sincs if each.size < 13), pi / 3, pi)
    assert is_uniform((each.cutoff for each in sincs if each.size >= 13), pi / 5, pi)


def test_resizes_are_as_published(drawn: list[list[Step]]) -> None:
    first, second = (
        [next(step for step in steps if isinstance(step, Resize)) for steps in each]
        for each in passes(drawn)
    )
    for resizes, full, weights, (low, high) in (
        (first, HR, (0.2, 0.7, 0.1), (0.15, 1.5)),
        (second, LR, (0.3, 0.4, 0.3), (0.3, 1.2)),
    ):
        factors = [resize.size[1] / full[1] for resize in resizes]
        ups, downs = [f for f in factors if f > 1], [f for f in factors if f < 1]
        # A factor near 1 rounds to the full size.
        assert is_binomial(len(ups), weights[0])
        assert is_binomial(len(downs), weights[1])
        assert is_uniform(ups, 1, high)
        assert is_uniform(downs, low - 1 / full[1], 1)
        methods = Counter(resize.method for resize in resizes)
        assert methods.keys() == {"area", "bilinear", "bicubic"}
        assert all(is_binomial(count, 1 / 3) for count in methods.values())


def test_noise_is_as_published(drawn: list[list[Step]]) -> None:
    for pass_, sigma, scale in zip(passes(drawn), (30, 25), (3, 2.5), strict=True):
        noises = [
            step
            for steps in pass_
            for step in steps
            if isinstance(step, GaussianNoise | PoissonNoise)
        ]
        gaussian = [noise for noise in noises if isinstance(noise, GaussianNoise)]
        assert len(noises) == N
        assert is_binomial(len(gaussian), 0.5)
        assert is_binomial(sum(noise.gray for noise in noises), 0.4)
        assert is_uniform((noise.sigma for noise in gaussian), 1, sigma)
        poisson = [noise for noise in noises if isinstance(noise, PoissonNoise)]
        assert is_uniform((noise.scale for noise in poisson), 0.05, scale)


def test_the_end_is_as_published(drawn: list[list[Step]]) -> None:
    jpeg_last, sincs = 0, 0
    for steps in drawn:
        sinc = [step for step in steps[-2:] if isinstance(step, Sinc)]
        jpegs = [step for step in steps if isinstance(step, Jpeg)]
        assert len(jpegs) == 2
        jpeg_last += isinstance(steps[-1], Jpeg)
        sincs += len(sinc)
        resize = [step for step in steps if isinstance(step, Resize)][-1]
        assert resize.size == LR
    assert is_binomial(jpeg_last, 0.5)
    assert is_binomial(sincs, 0.8)
    # The second pass's blur comes in 80 % of the cases, the first one's always.
    first, second = passes(drawn)
    assert all(isinstance(steps[0], Blur | Sinc) for steps in first)
    assert is_binomial(sum(isinstance(steps[0], Blur | Sinc) for steps in second), 0.8)


def test_jpeg_qualities_are_as_published() -> None:
    jpegs = [draw_jpeg(REAL.first, np.random.default_rng(i))[0] for i in range(N)]
    assert is_uniform((jpeg.quality + 0.5 for jpeg in jpegs), 30, 96)
    for axis in (0, 1):
        corners = Counter(jpeg.corner[axis] for jpeg in jpegs)
        assert corners.keys() == {*range(16)}
        assert all(is_binomial(count, 1 / 16) for count in corners.values()), corners


@pytest.mark.parametrize("process", [REAL, MILD])
def test_what_the_configuration_rules_out_is_never_drawn(process: DegradationProcess) -> None:
    nothing = {
        "blur_probability": 0,
        "noise_probability": 0,
        "jpeg_probability": 0,
        "resize": {"keep": 1.0},
    }
    process = replace(
        process,
        first=replace(process.first, **nothing),
        second=replace(process.second, **nothing),
        final_sinc_probability=0,
    )
    for i in range(100):
        steps = draw(process, HR, LR, np.random.default_rng(i))
        assert [step.size for step in steps if isinstance(step, Resize)] == [HR, LR, LR]
        assert len(steps) == 3


def test_an_image_of_a_pixel_keeps_a_pixel() -> None:
    smallest = DegradationPass(resize={"down": 1.0}, resize_factor=(0.01, 1))
    process = DegradationProcess(first=smallest, second=smallest)
    for i in range(20):
        steps = draw(process, (2, 2), (1, 1), np.random.default_rng(i))
        assert min(min(step.size) for step in steps if isinstance(step, Resize)) == 1


def test_noise_follows_its_probability() -> None:
    settings = DegradationPass(noise_probability=0.3)
    count = sum(bool(draw_noise(settings, np.random.default_rng(i))) for i in range(N))
    assert is_binomial(count, 0.3)
