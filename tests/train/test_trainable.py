"""A network in training: skipped steps, averages, clipping, scaled losses."""

import copy
from typing import get_args

import pytest
import torch
from torch import nn

from sr_train.config.schema import Config
from sr_train.distributed import Processes
from sr_train.optimizers import OptimizerName
from sr_train.trainable import Trainable

ALONE = Processes(0, 1, torch.device("cpu"))
OPTIMIZERS = get_args(OptimizerName)


def _trainable(optimizer: str = "adam", ema_decay: float = 0.0, **options: object) -> Trainable:
    torch.manual_seed(0)
    config = Config(**({"precision": "fp32"} | options))
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 1, 3))
    return Trainable(
        network, config, ALONE, optimizer=optimizer, betas=(0.9, 0.99), ema_decay=ema_decay
    )


def _step(trainable: Trainable, factor: float = 1.0, lr: float = 1e-2) -> torch.Tensor:
    torch.manual_seed(1)
    for images in trainable.accumulate([torch.rand(2, 3, 8, 8)]):
        with trainable.autocast():
            output = trainable.parallel(images)
        trainable.backward(output.float().square().mean() * factor)
    return trainable.step(lr)


def _bytes(trainable: Trainable) -> list[bytes]:
    return [p.detach().numpy().tobytes() for p in trainable.parameters]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_step_with_nan_or_infinity_changes_no_weight_and_is_counted(
    optimizer: str, bad: float
) -> None:
    trainable = _trainable(optimizer)
    _step(trainable)
    before = _bytes(trainable)
    _step(trainable, bad)
    assert _bytes(trainable) == before
    assert (trainable.skipped, trainable.skipped_in_a_row) == (1, 1)
    _step(trainable)
    assert _bytes(trainable) != before
    assert (trainable.skipped, trainable.skipped_in_a_row) == (1, 0)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_skipped_step_leaves_no_trace_in_later_steps(optimizer: str) -> None:
    skipping, plain = _trainable(optimizer), _trainable(optimizer)
    for trainable, factors in ((skipping, (1.0, float("nan"), 0.5)), (plain, (1.0, 0.5))):
        for factor in factors:
            _step(trainable, factor)
    assert _bytes(skipping) == _bytes(plain)


def test_the_longest_run_of_skipped_steps_is_counted() -> None:
    trainable = _trainable()
    for factor in (float("nan"),) * 3 + (1.0,) + (float("nan"),) * 2:
        _step(trainable, factor)
    assert trainable.most_skipped_in_a_row == 3
    assert trainable.skipped == 5


def test_its_adam_steps_as_pytorchs_adam_does() -> None:
    trainable = _trainable()
    reference = copy.deepcopy(trainable.network)
    adam = torch.optim.Adam(reference.parameters(), lr=1e-2, betas=(0.9, 0.99))
    for _ in range(3):
        _step(trainable)
        torch.manual_seed(1)
        adam.zero_grad()
        reference(torch.rand(2, 3, 8, 8)).square().mean().backward()
        adam.step()
    for ours, theirs in zip(trainable.parameters, reference.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_clipping_bounds_the_gradient_and_the_returned_norm_is_unclipped() -> None:
    trainable = _trainable(grad_clip=0.01)
    norm = _step(trainable, 100.0)
    gradients = [p.grad for p in trainable.parameters]
    assert norm > 1
    assert torch.nn.utils.get_total_norm(gradients) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize(("steps", "decay"), [(1, 2 / 11), (50, 51 / 60), (120, 0.9)])
def test_the_decay_of_the_average_warms_up(steps: int, decay: float) -> None:
    trainable = _trainable(ema_decay=0.9)
    for _ in range(steps):
        _step(trainable)
    before = [p.detach().clone() for p in trainable.averaged.parameters()]
    _step(trainable)
    triples = zip(trainable.averaged.parameters(), before, trainable.parameters, strict=True)
    for average, old, new in triples:
        torch.testing.assert_close(average, decay * old + (1 - decay) * new)


def test_without_an_average_the_averaged_network_is_the_network() -> None:
    trainable = _trainable()
    assert trainable.averaged is trainable.network


def test_fp16_scales_losses_and_skips_steps_that_overflow() -> None:
    trainable = _trainable(precision="fp16")
    scale = trainable.scaler.get_scale()
    before = _bytes(trainable)
    _step(trainable, float("inf"))
    assert _bytes(trainable) == before
    assert trainable.scaler.get_scale() == scale / 2
    _step(trainable)
    assert _bytes(trainable) != before
    assert trainable.skipped == 1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_restored_trainable_continues_exactly(optimizer: str, precision: str) -> None:
    first, second = (_trainable(optimizer, ema_decay=0.9, precision=precision) for _ in range(2))
    for factor in (1.0, float("nan"), 0.3):
        _step(first, factor)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for trainable in (first, second):
        _step(trainable, 0.7)
    assert _bytes(first) == _bytes(second)
    assert second.skipped == first.skipped >= 1
    averages = [list(trainable.averaged.parameters()) for trainable in (first, second)]
    assert all(torch.equal(a, b) for a, b in zip(*averages, strict=True))


def test_a_resumed_run_can_start_an_average_and_change_precision() -> None:
    plain, richer = _trainable(), _trainable(ema_decay=0.9, precision="fp16")
    _step(plain)
    richer.load_state_dict(copy.deepcopy(plain.state_dict()))
    averaged = [p.numpy().tobytes() for p in richer.averaged.state_dict().values()]
    assert averaged == _bytes(plain)
    _step(richer)


def test_schedule_free_steps_and_averages_as_its_package_does() -> None:
    schedulefree = pytest.importorskip("schedulefree")
    trainable = _trainable("schedule_free", ema_decay=0.9)  # its own average replaces this one
    reference = copy.deepcopy(trainable.network)
    optimizer = schedulefree.AdamWScheduleFree(reference.parameters(), lr=1e-2, betas=(0.9, 0.99))
    optimizer.train()
    for _ in range(3):
        _step(trainable)
        torch.manual_seed(1)
        optimizer.zero_grad()
        reference(torch.rand(2, 3, 8, 8)).square().mean().backward()
        optimizer.step()
    weights = _bytes(trainable)
    assert weights == [p.detach().numpy().tobytes() for p in reference.parameters()]
    optimizer.eval()
    averaged = trainable.averaged
    for ours, theirs in zip(averaged.parameters(), reference.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert _bytes(trainable) == weights
    _step(trainable)  # validation and saving change nothing


@pytest.mark.parametrize("skipped", [(0,), (1,), (0, 2)])
def test_schedule_free_forgets_the_gradient_of_a_skipped_step(skipped: tuple[int, ...]) -> None:
    pytest.importorskip("schedulefree")
    trainable = _trainable("schedule_free")
    for number in range(3):
        before = _bytes(trainable)
        _step(trainable, float("nan") if number in skipped else 1.0)
        assert (_bytes(trainable) == before) == (number in skipped)
    _step(trainable)
    for weights in trainable.averaged.parameters():
        assert weights.isfinite().all()
    assert trainable.skipped == len(skipped)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_gradient_norms_are_given_by_group_of_layers(optimizer: str) -> None:
    trainable = _trainable(optimizer)
    norm = _step(trainable)
    groups = trainable.gradient_norms()
    assert set(groups) == {"0", "1"}
    assert torch.tensor(list(groups.values())).norm() == pytest.approx(float(norm), rel=1e-5)


def test_before_the_first_step_there_are_no_gradient_norms() -> None:
    assert _trainable().gradient_norms() == {}
