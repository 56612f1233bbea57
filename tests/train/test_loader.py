"""The training loader: its crops, and their order."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sr_runtime.resize import downscale
from sr_train.config.schema import Augmentation
from sr_train.data.build.prepare import prepare
from sr_train.data.loader import training_loader
from sr_train.data.prepared import prepared
from sr_train.data.stage_data import stage_steps
from tests.train.training_sets import N, batches, config


def digests(found: Iterable[tuple[Tensor, ...]]) -> list[str]:
    return [
        hashlib.sha256(b"".join(t.numpy().tobytes() for t in batch)).hexdigest() for batch in found
    ]


def images_of(found: Iterable[tuple[Tensor, ...]]) -> list[int]:
    return [int(red) // 10 for _, hr in found for red in hr[:, 0, 0, 0]]


def test_crops_are_contiguous_uint8_and_the_same_part_of_lr_and_hr(root: Path) -> None:
    sources = prepared("mine", root=root, scale=4, purpose="train")[0]
    places = Counter()
    for lr, hr in batches(config(root, epochs=20)):
        assert (lr.shape, hr.shape) == ((4, 3, 8, 8), (4, 3, 32, 32))
        assert lr.dtype == hr.dtype == torch.uint8
        assert lr.is_contiguous()
        assert hr.is_contiguous()
        for small, large in zip(lr, hr, strict=True):
            image, top, left = (int(x) for x in large[:, 0, 0])
            assert top % 4 == left % 4 == 0
            i = image // 10
            part = np.s_[top // 4 : top // 4 + 8, left // 4 : left // 4 + 8]
            assert np.array_equal(small.permute(1, 2, 0), sources.lr(i)[part])
            part = np.s_[top : top + 32, left : left + 32]
            assert np.array_equal(large.permute(1, 2, 0), sources.hr(i)[part])
            places[top, left] += 1
    # All 3 × 6 places occur, borders included.
    assert places.keys() == {(4 * y, 4 * x) for y in range(3) for x in range(6)}


def test_lr_crops_of_real_photos_are_their_downscaled_hr(data: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for path in sorted((data / "bsds500" / "train").iterdir())[:4]:
        (tmp_path / "photos" / path.name).symlink_to(path.resolve())
    prepare(tmp_path / "photos", root=tmp_path / "data")
    for lr, hr in batches(config(tmp_path / "data", "photos", val="photos")):
        for small, large in zip(lr, hr, strict=True):
            made = downscale(large.permute(1, 2, 0).numpy(), 4)
            difference = made.astype(int) - small.permute(1, 2, 0).numpy()
            assert not difference[2:-2, 2:-2].any()  # its taps reach two LR pixels


def test_an_epoch_has_every_image_and_is_filled_up_with_the_first_ones(
    root: Path,
) -> None:
    assert stage_steps(config(root), "pretraining").per_epoch == 3
    order = images_of(batches(config(root)))
    assert len(order) == 3 * 12
    for epoch in (order[:12], order[12:24], order[24:]):
        assert sorted(epoch[:N]) == list(range(N))
        assert epoch[N:] == epoch[:2]
    assert order[:N] != order[12 : 12 + N]


def test_repeated_images_are_cropped_differently(root: Path) -> None:
    found = batches(config(root, epochs=20))
    repeated = [
        torch.equal(found[first][1][i], found[first + 2][1][2 + i])
        for first in range(0, len(found), 3)
        for i in range(2)
    ]
    assert sum(repeated) < 10  # of 40, where one in 18 is expected to fall on the same place


def test_fewer_images_than_a_mini_batch_are_enough(root: Path) -> None:
    assert stage_steps(config(root, "rgb", batch_size=5), "pretraining").per_epoch == 1
    found = batches(config(root, "rgb", batch_size=5, epochs=2))
    assert [len(hr) for _, hr in found] == [5, 5]


def test_several_sets_and_splits_are_joined(root: Path) -> None:
    assert stage_steps(config(root, "mine", "rgb", "rgb:all"), "training").per_epoch == 4  # 14


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_that_starts_later_continues_with_the_same_bytes(root: Path, workers: int) -> None:
    settings = config(root, workers=workers, augmentation=Augmentation())
    expected = digests(batches(replace(settings, workers=0)))
    assert len(set(expected)) == len(expected) == 9
    for batch in (0, 2, 3, 8, 9):
        later = training_loader(settings, "pretraining", batch=batch)
        assert len(later) == 9 - batch
        assert digests(later) == expected[batch:]


def test_only_the_seed_and_the_stage_change_the_crops(root: Path) -> None:
    first = digests(batches(config(root)))
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    assert digests(batches(config(root))) == first
    assert digests(batches(config(root, seed=1))) != first
    assert digests(batches(config(root), "training")) != first


def test_loading_draws_nothing_from_the_global_generator(root: Path) -> None:
    before = torch.get_rng_state()
    batches(config(root, workers=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_crop_size_whole_images_come_one_by_one(root: Path) -> None:
    settings = config(root, "small", cr_patch_size=None, epochs=1)
    assert stage_steps(settings, "pretraining").per_epoch == 3
    shapes = {tuple(hr.shape) for _, hr in batches(settings)}
    assert shapes == {(1, 3, 40, 40), (1, 3, 28, 40), (1, 3, 40, 24)}
