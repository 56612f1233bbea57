"""The steps of a degradation: how strong they are, and that nothing moves or changes its colour."""

import io
from collections.abc import Callable
from dataclasses import replace
from math import pi

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from sr_runtime.image import read
from sr_runtime.resize import downscale
from sr_train.config.degradation import (
    MILD,
    REAL,
    DegradationName,
    DegradationPass,
    DegradationProcess,
)
from sr_train.data.degradation.jpeg import Jpeg
from sr_train.data.degradation.kernels import Blur, Sinc
from sr_train.data.degradation.named import NAMED, degraded_lr
from sr_train.data.degradation.noise import GaussianNoise, PoissonNoise
from sr_train.data.degradation.pixels import floats_of, pixels_of
from sr_train.data.degradation.process import degrade
from tests.train.conftest import PHOTOS

Pixels = NDArray[np.uint8]

NOTHING = DegradationPass(
    blur_probability=0, noise_probability=0, jpeg_probability=0, resize={"keep": 1.0}
)
WEAKEST = DegradationProcess(first=NOTHING, second=NOTHING, final_sinc_probability=0)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def photo() -> Pixels:
    return read(min(PHOTOS.glob("*.png"))).frames[0][:192, :144, :3].copy()


def moments(kernel: NDArray[np.float32]) -> tuple[float, float, float]:
    """Variance along x and y, and covariance."""
    y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
    return (kernel * x * x).sum(), (kernel * y * y).sum(), (kernel * x * y).sum()


@pytest.mark.parametrize("size", [7, 13, 21])
@pytest.mark.parametrize(
    "make",
    [
        lambda size: Blur("isotropic", size, (2, 2), 0, 1),
        lambda size: Blur("generalized_anisotropic", size, (3, 0.2), 0.7, 0.5),
        lambda size: Blur("plateau_anisotropic", size, (1, 2), -2, 2),
        lambda size: Sinc(size, 1.1),
    ],
)
def test_kernels_keep_the_brightness_and_the_place(
    make: Callable[[int], Blur | Sinc], size: int
) -> None:
    kernel = make(size).kernel()
    assert kernel.shape == (size, size)
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert np.allclose(kernel, kernel[::-1, ::-1], atol=1e-7)


def test_gaussian_kernels_have_their_standard_deviations_along_their_axes() -> None:
    across, down, mixed = moments(Blur("anisotropic", 21, (2.5, 1), 0, 1).kernel())
    assert (across, down, mixed) == pytest.approx((2.5**2, 1, 0), rel=0.01, abs=1e-5)
    across, down, mixed = moments(Blur("anisotropic", 21, (2, 1), pi / 4, 1).kernel())
    assert (across, down, mixed) == pytest.approx((2.5, 2.5, 1.5), rel=0.01)


def test_a_larger_exponent_flattens_the_top() -> None:
    for kind in ("generalized_isotropic", "plateau_isotropic"):
        pointed, flat = (Blur(kind, 21, (3, 3), 0, shape).kernel() for shape in (1, 2))
        middle = np.s_[10, 10], np.s_[10, 12]
        drops = [1 - kernel[middle[1]] / kernel[middle[0]] for kernel in (pointed, flat)]
        assert drops[1] < 0.6 * drops[0], kind


def test_a_sinc_filter_keeps_waves_below_its_cutoff_and_removes_those_above() -> None:
    response = np.abs(np.fft.rfft2(Sinc(21, pi / 2).kernel(), (64, 64)))[0]
    assert response[:12] == pytest.approx(1, abs=0.15)
    assert response[22:].max() < 0.12


@pytest.mark.parametrize("gray", [False, True])
def test_gaussian_noise_has_its_standard_deviation(gray: bool) -> None:
    flat = np.full((256, 256, 3), 0.5, np.float32)
    noise = 255 * (GaussianNoise(20, gray)(flat, generator()) - flat)
    assert noise.std() == pytest.approx(20, rel=0.02)
    assert np.array_equal(noise[..., 0], noise[..., 1]) == gray


@pytest.mark.parametrize("level", [0, 1, 3, 20, 128, 250])
def test_poisson_noise_is_that_of_numpy(level: int) -> None:
    flat = np.full((300, 300, 1), level / 255, np.float32)
    ours = PoissonNoise(0.01, gray=False)(flat, generator()) - flat  # so weak that nothing clips
    photons = level / 255 * 256
    theirs = (generator(1).poisson(photons, flat.shape) - photons) / 256 * 0.01
    assert ours.mean() == pytest.approx(0, abs=5 * theirs.std() / 300 + 1e-7)
    assert ours.std() == pytest.approx(theirs.std(), rel=0.02)
    assert np.quantile(ours, (0.05, 0.95)) == pytest.approx(
        np.quantile(theirs, (0.05, 0.95)), abs=1.01 * 0.01 / 256
    )


def test_gray_poisson_noise_is_the_same_in_all_channels_and_follows_the_luma() -> None:
    image = np.zeros((200, 200, 3), np.float32)
    image[:100, :, 1], image[100:, :, 2] = 0.5, 0.5  # green is brighter than blue
    noise = PoissonNoise(1, gray=True)(image, generator()) - image
    green, blue = noise[:100, :, 1], noise[100:, :, 2]
    assert green.var() / blue.var() == pytest.approx(0.587 / 0.114, rel=0.1)
    positive = noise[:100] > 0
    assert np.array_equal(positive[..., 0], positive[..., 1])


@pytest.mark.parametrize("quality", [30, 60, 95])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_has_its_quality_and_keeps_the_order_of_the_channels(
    quality: int, channels: int
) -> None:
    image = photo()[:, :, :channels]

    def theirs(quality: int) -> Pixels:
        file = io.BytesIO()
        PIL.Image.fromarray(image.squeeze()).save(file, "JPEG", quality=quality)
        return np.asarray(PIL.Image.open(file)).reshape(image.shape)

    ours = Jpeg(quality).compressed(image).astype(int)
    assert np.abs(ours - theirs(quality)).mean() < 0.05
    assert np.abs(ours - theirs(quality - 5)).mean() > 0.2


@pytest.mark.parametrize("corner", [(0, 0), (5, 11), (15, 8)])
def test_jpeg_blocks_begin_where_the_drawn_corner_puts_them(corner: tuple[int, int]) -> None:
    image = floats_of(photo())
    compressed = Jpeg(5, corner)(image, generator())
    assert compressed.shape == image.shape
    for axis in (0, 1):
        steps = np.abs(np.diff(compressed, axis=axis)).mean((1 - axis, 2))
        by_phase = [steps[phase::8].mean() for phase in range(8)]
        assert np.argmax(by_phase) == (7 - corner[axis]) % 8


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_the_weakest_degradation_is_nearly_the_prepared_lr(scale: int) -> None:
    hr = photo()
    wave = np.sin(np.add.outer(np.arange(192), np.arange(144)) / 9)
    hr[..., 0] = 128 + 100 * wave  # smooth, so that aliasing plays no part
    clean = downscale(hr, scale)[..., 0].astype(float)
    shift = (clean[2:-2, 3:-1] - clean[2:-2, 1:-3]) / 2  # by a pixel
    for seed in range(6):
        lr = degrade(hr, WEAKEST, generator(seed), scale)[..., 0].astype(float)
        error = (lr - clean)[2:-2, 2:-2]
        # The part of the error that a shift explains, in pixels.
        assert abs((error * shift).sum() / (shift * shift).sum()) < 0.02
        assert np.abs(error).mean() < 4


def test_the_weakest_antialiased_degradation_is_the_prepared_lr() -> None:
    smooth = replace(NOTHING, resize_methods={"antialiased": 1.0})
    hr = photo() // 2 + 64  # `downscale` clips and rounds after each axis
    lr = degrade(hr, replace(WEAKEST, second=smooth), generator(), 4).astype(int)
    assert np.abs(lr - downscale(hr, 4)).max() <= 1


@pytest.mark.parametrize("process", [REAL, MILD])
def test_nothing_moves(process: DegradationProcess) -> None:
    y, x = np.mgrid[:192, :144]
    hr = pixels_of(np.exp(-((y - 100.5) ** 2 + (x - 70.5) ** 2) / 2 / 20**2)[..., None])
    quiet = replace(
        process,
        first=replace(process.first, noise_probability=0, jpeg_quality=(95, 95)),
        second=replace(process.second, noise_probability=0, jpeg_quality=(95, 95)),
    )
    places = 4 * (np.mgrid[:48, :36] + 0.5)
    found = []
    for seed in range(200):
        lr = degrade(hr, quiet, generator(seed), 4)[..., 0].astype(float)
        lr[lr < 20] = 0  # the ringing of sinc filters
        found.append((places * lr).sum((1, 2)) / lr.sum())
    assert np.mean(found, 0) == pytest.approx((101, 71), abs=0.05)
    assert np.array(found) == pytest.approx(np.array([(101, 71)] * 200), abs=1)


@pytest.mark.parametrize("name", NAMED)
def test_colours_stay_as_they_are(name: DegradationName) -> None:
    shifts = []
    for seed in range(100):
        colour = generator(seed).integers(60, 196, 3)  # noise clips darker and lighter ones
        hr = np.broadcast_to(colour.astype(np.uint8), (64, 64, 3))
        shifts.append(degraded_lr(hr, name, generator(seed), 4).mean((0, 1)) - colour)
    assert np.mean(shifts, 0) == pytest.approx(0, abs=1)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8, 16])
def test_every_size_scale_and_number_of_channels(
    name: DegradationName, channels: int, scale: int
) -> None:
    for height, width in ((1, 1), (2, 7), (5, 3)):
        hr = generator().integers(0, 256, (scale * height, scale * width, channels), np.uint8)
        lr = degraded_lr(hr, name, generator(1), scale)
        assert (lr.shape, lr.dtype) == ((height, width, channels), np.uint8)
        assert np.array_equal(lr, degraded_lr(hr, name, generator(1), scale))
        assert lr.flags.c_contiguous


def test_jpeg30_is_the_prepared_lr_compressed() -> None:
    lr = degraded_lr(photo(), "jpeg30", generator(), 4)
    assert np.array_equal(lr, Jpeg(30).compressed(downscale(photo(), 4)))


def test_mild_is_milder_than_real() -> None:
    hr = photo()
    clean = downscale(hr, 4).astype(float)
    errors = [
        np.mean([np.abs(degraded_lr(hr, name, generator(i), 4) - clean).mean() for i in range(40)])
        for name in ("mild", "real")
    ]
    assert 2 < errors[0] < 0.6 * errors[1]


def test_pixels_become_floats_and_return() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert np.array_equal(pixels_of(floats_of(levels)), levels)
    assert pixels_of(np.array([-0.3, 1.4], np.float32)).tolist() == [0, 255]
