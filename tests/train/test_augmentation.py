"""Augmentation: the frequency of each change, and that LR and HR are changed alike."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sr_runtime.image import read
from sr_runtime.resize import downscale
from sr_train.config.schema import Augmentation, Stage
from sr_train.data.augmentation import Augment

Pixels = NDArray[np.uint8]

# An image without symmetries: the result shows which of the eight was applied.
MARKED = np.arange(9, dtype=np.uint8).reshape(3, 3, 1)
SYMMETRIES: dict[str, Callable[[Pixels], Pixels]] = {
    "identity": lambda a: a,
    "horizontal": lambda a: a[:, ::-1],
    "vertical": lambda a: a[::-1],
    "both": lambda a: a[::-1, ::-1],
    "transpose": lambda a: a.swapaxes(0, 1),
    "turned left": np.rot90,
    "turned right": lambda a: np.rot90(a, -1),
    "transverse": lambda a: a[::-1, ::-1].swapaxes(0, 1),
}
NO_DAMAGE = Augmentation(compression=0, coarse_dropout=0)
N = 4000


def symmetry_counts(config: Augmentation) -> Counter[str]:
    augment = Augment(config, "training")
    names = {change(MARKED).tobytes(): name for name, change in SYMMETRIES.items()}
    counts: Counter[str] = Counter()
    for i in range(N):
        lr, hr = augment(MARKED, MARKED, np.random.default_rng(i))
        assert lr.tobytes() == hr.tobytes()
        counts[names[lr.tobytes()]] += 1
    return counts


def is_binomial(count: int, probability: float) -> bool:
    """Within four standard deviations."""
    return abs(count - N * probability) < 4 * (N * probability * (1 - probability)) ** 0.5 + 1e-9


def test_half_of_the_crops_are_changed_and_three_in_four_of_these_transposed() -> None:
    counts = symmetry_counts(Augmentation())
    expected = {
        "identity": 0.5,
        "transpose": 0.375,
        "horizontal": 0.125 / 3,
        "vertical": 0.125 / 3,
        "both": 0.125 / 3,
    }
    assert counts.keys() == expected.keys()
    for name, probability in expected.items():
        assert is_binomial(counts[name], probability), (name, counts)


def test_probability_and_weights_follow_the_configuration() -> None:
    for flip, transpose in ((3, 1), (1, 3)):
        config = Augmentation(probability=0.9, flip_weight=flip, transpose_weight=transpose)
        counts = symmetry_counts(config)
        assert is_binomial(counts["identity"], 0.1)
        assert is_binomial(counts["transpose"], 0.9 * transpose / 4)


def test_d4_applies_each_of_the_eight_symmetries_equally_often() -> None:
    counts = symmetry_counts(Augmentation(symmetry="d4"))
    assert counts.keys() == SYMMETRIES.keys()
    assert all(is_binomial(count, 1 / 8) for count in counts.values()), counts


@pytest.mark.parametrize("symmetry", ["flip_or_transpose", "d4"])
def test_the_changed_lr_is_still_the_downscaled_hr(data: Path, symmetry: str) -> None:
    hr = read(data / "set5/x4/img_003_SRF_4_HR.png").frames[0]
    lr = downscale(hr, 4)
    config = replace(NO_DAMAGE, symmetry=symmetry, probability=1, flip_weight=3)
    augment = Augment(config, "pretraining")
    changed = set()
    for i in range(20):
        new_lr, new_hr = augment(lr, hr, np.random.default_rng(i))
        # Rounding half up after each axis is not exactly symmetric.
        assert np.abs(downscale(new_hr, 4).astype(int) - new_lr).max() <= 1
        changed.add(new_lr.tobytes())
    assert len(changed) >= 4


@pytest.mark.parametrize("stage", ["pretraining", "training"])
@pytest.mark.parametrize("field", ["compression", "coarse_dropout"])
@pytest.mark.parametrize("channels", [1, 3])
def test_only_lr_is_damaged_only_in_pretraining_and_as_often_as_configured(
    stage: Stage, field: str, channels: int
) -> None:
    noise = np.random.default_rng(0).integers(1, 256, (32, 32, channels), np.uint8)
    augment = Augment(replace(NO_DAMAGE, probability=0, **{field: 0.25}), stage)
    damaged = 0
    for i in range(N):
        lr, hr = augment(noise, noise, np.random.default_rng(i))
        assert hr.tobytes() == noise.tobytes()
        assert lr.shape == noise.shape
        damaged += lr.tobytes() != noise.tobytes()
    assert is_binomial(damaged, 0.25 if stage == "pretraining" else 0)


def blanked(**config: Any) -> list[float]:
    """The blanked share of each of 200 crops with coarse dropout."""
    white = np.full((32, 32, 3), 255, np.uint8)
    augment = Augment(replace(NO_DAMAGE, probability=0, coarse_dropout=1, **config), "pretraining")
    return [(augment(white, white, np.random.default_rng(i))[0] == 0).mean() for i in range(200)]


def test_number_and_size_of_blanked_holes_follow_the_configuration() -> None:
    shares = blanked()
    assert min(shares) > 0
    assert max(shares) <= 4 / 64
    assert set(blanked(dropout_holes=(1, 1), dropout_hole_size=(0.5, 0.5))) == {1 / 4}
    assert max(blanked(dropout_holes=(3, 3), dropout_hole_size=(0.25, 0.25))) == 3 / 16


def test_the_compression_quality_follows_the_configuration() -> None:
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)[:, :, np.newaxis]

    def error(quality: int) -> float:
        config = replace(NO_DAMAGE, compression=1, jpeg_quality=(quality, quality), probability=0)
        lr, _ = Augment(config, "pretraining")(smooth, smooth, np.random.default_rng(0))
        return float(np.abs(lr.astype(int) - smooth).mean())

    assert error(100) < 1 < error(5)


def test_equal_generators_make_equal_changes_whatever_was_drawn_before() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    config = Augmentation(compression=0.5, coarse_dropout=0.5)
    first, second = Augment(config, "pretraining"), Augment(config, "pretraining")
    for i in range(7):  # draws that `second` doesn't make
        first(noise, noise, np.random.default_rng(1000 + i))
    for i in range(50):
        a = first(noise, noise, np.random.default_rng(i))
        b = second(noise, noise, np.random.default_rng(i))
        assert [x.tobytes() for x in a] == [x.tobytes() for x in b]
