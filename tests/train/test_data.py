"""The training loader: which crops come, in which order, from where; and what is refused."""

import hashlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from sr_runtime.errors import ArgumentError
from sr_runtime.resize import downscale
from sr_train.config import (
    AdversarialLoss,
    Augmentation,
    Config,
    DiscriminatorConfig,
    Pretraining,
    Stage,
    Training,
)
from sr_train.data.crops import Key, TrainingCrops
from sr_train.data.loading import (
    batches_per_epoch,
    check_data,
    data_digest,
    training_loader,
    validation_pairs,
)
from sr_train.data.prepare import prepare
from sr_train.data.prepared import prepared
from tests.train.made_images import Pixels, save, save_folder

PLAIN = Augmentation(probability=0, compression=0, coarse_dropout=0)
N = 10  # training images


def flat(seed: int) -> Pixels:
    """An image that any crop of it tells by its red, whose green is its row and blue its column."""
    rows, columns = np.mgrid[:40, :52].astype(np.uint8)
    return np.dstack([np.full_like(rows, 10 * seed), rows, columns])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared: `mine`, ten images; `gray`; `rgb`, `small`, of noise."""
    folder = tmp_path_factory.mktemp("data")
    for i in range(N):
        save(flat(i), folder / "mine" / f"{i}.png")
    save_folder(folder / "gray", (40, 40, 1), (48, 40, 1))
    save_folder(folder / "rgb", (40, 40), (48, 40))
    save_folder(folder / "small", (40, 40), (31, 40), (40, 24))
    for name in ("mine", "gray", "rgb", "small"):
        prepare(str(folder / name), root=folder / "root", source=None, scale=4, jobs=1)
    return folder / "root"


def config(root: Path, *train: str, val: str = "mine", epochs: int = 3, **fields: Any) -> Config:
    stage = {
        "num_epoch": epochs,
        "cr_patch_size": fields.pop("cr_patch_size", (32, 32)),
        "train_datasets": train or ("mine",),
        "val_datasets": (val,),
    }
    defaults = {
        "batch_size": 4,
        "workers": 0,
        "augmentation": PLAIN,
        "discriminator": DiscriminatorConfig(type="unet"),
    }
    return Config(
        data_root=str(root),
        pretraining=Pretraining(**stage),
        training=Training(**stage),
        **(defaults | fields),
    )


def batches(config: Config, stage: Stage = "pretraining", **where: int) -> list[tuple[Tensor, ...]]:
    return [
        tuple(batch) for batch in training_loader(config, stage, **{"epoch": 0, "batch": 0} | where)
    ]


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
    # 3 × 6 places, of which each comes, borders included.
    assert places.keys() == {(4 * y, 4 * x) for y in range(3) for x in range(6)}


def test_lr_crops_of_real_photos_are_their_downscaled_hr(data: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for path in sorted((data / "bsds500" / "train").iterdir())[:4]:
        (tmp_path / "photos" / path.name).symlink_to(path.resolve())
    prepare(str(tmp_path / "photos"), root=tmp_path / "data", source=None, scale=4, jobs=1)
    for lr, hr in batches(config(tmp_path / "data", "photos", val="photos")):
        for small, large in zip(lr, hr, strict=True):
            made = downscale(large.permute(1, 2, 0).numpy(), 4)
            difference = made.astype(int) - small.permute(1, 2, 0).numpy()
            assert not difference[2:-2, 2:-2].any()  # its taps reach two LR pixels


def test_an_epoch_has_every_image_and_is_filled_up_from_its_beginning(root: Path) -> None:
    assert batches_per_epoch(config(root), "pretraining") == 3
    order = images_of(batches(config(root)))
    assert len(order) == 3 * 12
    for epoch in (order[:12], order[12:24], order[24:]):
        assert sorted(epoch[:N]) == list(range(N))
        assert epoch[N:] == epoch[:2]
    assert order[:N] != order[12 : 12 + N]


def test_images_that_fill_up_are_cropped_anew(root: Path) -> None:
    found = batches(config(root, epochs=20))
    repeated = [
        torch.equal(found[first][1][i], found[first + 2][1][2 + i])
        for first in range(0, len(found), 3)
        for i in range(2)
    ]
    assert sum(repeated) < 10  # of 40; one in 18 falls on the same place


def test_fewer_images_than_a_mini_batch_are_enough(root: Path) -> None:
    assert batches_per_epoch(config(root, "rgb", batch_size=5), "pretraining") == 1
    found = batches(config(root, "rgb", batch_size=5, epochs=2))
    assert [len(hr) for _, hr in found] == [5, 5]


def test_several_sets_and_splits_are_one(root: Path) -> None:
    assert batches_per_epoch(config(root, "mine", "rgb", "rgb:all"), "training") == 4  # 14 images


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_that_starts_later_goes_on_with_the_same_bytes(root: Path, workers: int) -> None:
    settings = config(root, workers=workers, augmentation=Augmentation())
    expected = digests(batches(replace(settings, workers=0)))
    assert len(set(expected)) == len(expected) == 9
    for epoch, batch in ((0, 0), (0, 2), (1, 0), (2, 2), (3, 0)):
        later = training_loader(settings, "pretraining", epoch=epoch, batch=batch)
        assert len(later) == 9 - 3 * epoch - batch
        assert digests(later) == expected[3 * epoch + batch :]


def test_seed_stage_and_nothing_else_change_the_crops(root: Path) -> None:
    first = digests(batches(config(root)))
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    assert digests(batches(config(root))) == first
    assert digests(batches(config(root, seed=1))) != first
    assert digests(batches(config(root), "training")) != first


def test_loading_draws_nothing_from_the_generator_of_the_networks(root: Path) -> None:
    before = torch.get_rng_state()
    batches(config(root, workers=1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_workers_go_on_when_the_whole_group_is_told_to_stop(root: Path, number: int) -> None:
    found = iter(training_loader(config(root, workers=2, epochs=30), "training", epoch=0, batch=0))
    for _ in range(2):  # one from each worker: both are at work
        next(found)
    for worker in multiprocessing.active_children():
        os.kill(worker.pid, number)
    assert len(list(found)) == 3 * 30 - 2


LEAVE = """
import os, signal, sys
import torch
from pathlib import Path
from sr_train.data.loading import training_loader
from tests.train.test_data import config

torch.utils.data._utils.worker.MP_STATUS_CHECK_INTERVAL = 0.1  # how often workers look for us
how, root = sys.argv[1:]
settings = config(Path(root), workers=2, epochs=100)
batches = iter(training_loader(settings, "training", epoch=0, batch=0))
next(batches)
if how == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
raise SystemError(how)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_workers_end_with_the_process_however_it_ends(root: Path) -> None:
    runs = [
        # They inherit its stderr, which is read until all have closed it.
        subprocess.Popen(
            [sys.executable, "-c", LEAVE, how, root],
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for how in ("kill", "an error")
    ]
    killed, failed = (run.communicate(timeout=30)[1] for run in runs)
    assert [run.returncode for run in runs] == [-signal.SIGKILL, 1]
    assert killed == b""
    assert failed.endswith(b"SystemError: an error\n")


def test_ranks_share_the_mini_batches_of_one_process(root: Path) -> None:
    whole = batches(config(root))
    shares = [batches(config(root), rank=rank, world_size=2) for rank in range(2)]
    for expected, first, second in zip(whole, *shares, strict=True):
        for one, a, b in zip(expected, first, second, strict=True):
            assert torch.equal(one, torch.cat([a, b]))


def test_ranks_that_cannot_share_equally_are_refused(root: Path) -> None:
    for settings, words in (
        (config(root), "mini-batch of 4 cannot be shared equally by 3"),
        (config(root, cr_patch_size=None), "mini-batch of 1"),
    ):
        with pytest.raises(ArgumentError, match=words):
            training_loader(settings, "pretraining", epoch=0, batch=0, rank=0, world_size=3)


def test_without_a_crop_size_whole_images_come_one_by_one(root: Path) -> None:
    settings = config(root, "small", cr_patch_size=None, epochs=1)
    assert batches_per_epoch(settings, "pretraining") == 3
    shapes = {tuple(hr.shape) for _, hr in batches(settings)}
    assert shapes == {(1, 3, 40, 40), (1, 3, 28, 40), (1, 3, 40, 24)}


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_the_crops_survive_another_start_method(root: Path, method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    settings = config(root, augmentation=Augmentation(), epochs=1)
    sets = prepared("mine", root=root, scale=4, purpose="train")
    crops = TrainingCrops(sets, settings, "pretraining")
    here = crops[[Key(0, 0, 3)]]
    with multiprocessing.get_context(method).Pool(1) as pool:
        there = pool.apply(_crop, (crops, Key(0, 0, 3)))
    assert [tensor.numpy().tobytes() for tensor in here] == there


def _crop(crops: TrainingCrops, key: Key) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in crops[[key]]]


def test_gray_networks_get_gray_images_as_they_are_and_the_luma_of_rgb(root: Path) -> None:
    for name in ("gray", "rgb"):
        settings = config(root, name, val=name, img_channels=1)
        check_data(settings)
        assert {hr.shape[1] for _, hr in batches(settings)} == {1}
        (source,) = prepared(name, root=root, scale=4, purpose="val")
        for i, pair in enumerate(validation_pairs(settings, "training")):
            lr, hr = pair.read(4)
            assert lr.shape[2] == hr.shape[2] == 1
            expected = (
                source.hr(i) @ [0.299, 0.587, 0.114] if name == "rgb" else source.hr(i)[..., 0]
            )
            assert np.abs(hr[:, :, 0] - expected).max() <= 0.5


def test_the_digest_tells_what_a_stage_trains_on_and_not_where_it_lies(
    root: Path, tmp_path: Path
) -> None:
    settings = config(root, "mine", "small")
    digest = data_digest(settings, "training")
    shutil.copytree(root, tmp_path / "copy")
    assert data_digest(config(tmp_path / "copy", "mine", "small", val="rgb"), "training") == digest
    for other in (("mine",), ("small", "mine"), ("mine", "rgb")):
        assert data_digest(config(root, *other), "training") != digest
    save_folder(tmp_path / "small", (40, 40), (31, 40), (40, 28))
    shutil.rmtree(tmp_path / "copy/small")
    prepare(str(tmp_path / "small"), root=tmp_path / "copy", source=None, scale=4, jobs=1)
    assert data_digest(config(tmp_path / "copy", "mine", "small"), "training") != digest


def test_validation_reads_every_whole_image_and_copies_it(root: Path) -> None:
    pairs = validation_pairs(config(root, val="small"), "training")
    assert [pair.name for pair in pairs] == ["0", "1", "2"]
    lr, hr = pairs[1].read(4)
    assert (lr.shape, hr.shape) == ((7, 10, 3), (28, 40, 3))
    assert lr.flags.writeable
    assert hr.flags.writeable
    with pytest.raises(ArgumentError, match="scale of 4: 2 was asked"):
        pairs[0].read(2)


def test_images_of_several_validation_sets_have_different_names(root: Path) -> None:
    settings = config(root)
    two = replace(settings, training=replace(settings.training, val_datasets=("small", "rgb")))
    names = [pair.name for pair in validation_pairs(two, "training")]
    assert names == ["small_0", "small_1", "small_2", "rgb_0", "rgb_1"]


@pytest.mark.parametrize(
    ("fields", "train", "words"),
    [
        (
            {},
            "small",
            r"1 of small:all has 28×40 pixels, less than pretraining\.cr_patch_size, 32×32"
            r", and so have 1 more",
        ),
        ({}, "gray", r"gray:all is gray and img_channels is 3"),
        ({}, "nothing", r"nothing:all is not prepared"),
        ({"val": "gray"}, "mine", r"gray:all is gray"),
        ({"val": "small"}, "mine", r"2 of small:all has 40×24 pixels, less than what SSIM"),
        ({"val": "nothing"}, "mine", r"nothing:all is not prepared"),
        ({"scale_factor": 2}, "mine", r"not prepared for a scale of 2"),
        (
            {"adversarial_loss": AdversarialLoss(type="wgan", n_critic=10)},
            "mine",  # three mini-batches an epoch, three epochs
            r"training has 9 mini-batches, and adversarial_loss\.n_critic 10",
        ),
        ({"stages": "training", "init": "x"}, "small", r"training\.cr_patch_size"),
        (
            {"cr_patch_size": None},
            "small",
            r"1 of small:all has 28×40 pixels, no multiples of 8, .*: choose training\.cr_patch",
        ),
    ],
)
def test_data_that_would_fail_later_are_named_at_once(
    root: Path, fields: dict[str, Any], train: str, words: str
) -> None:
    check_data(config(root))
    with pytest.raises(ArgumentError, match=words):
        check_data(config(root, train, **fields))


def test_whole_images_that_a_unet_can_judge_are_taken(root: Path) -> None:
    check_data(config(root, "rgb", val="rgb", cr_patch_size=None))


def test_data_of_a_stage_that_is_not_run_are_not_needed(root: Path) -> None:
    settings = config(root, stages="pretraining")
    check_data(replace(settings, training=Training()))
