"""Learning rates, against PyTorch's own schedulers."""

import pytest
import torch
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    MultiStepLR,
    StepLR,
)

from sr_train.config.schema import Config, Pretraining, Training
from sr_train.distributed import Processes
from sr_train.learning_rates import FLOOR, schedule_factor, warm_up
from sr_train.models.rrdbnet import RRDBNet
from sr_train.stages import GanStage, PsnrStage

TOTAL = 40
ALONE = Processes(0, 1, torch.device("cpu"))
SMALL = {"rrdb_channels": 4, "growth_channels": 2, "num_basic_blocks": 1}


def _rates(make: type[LRScheduler], **options: object) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-4)
    scheduler = make(optimizer, **options)
    rates = []
    for _ in range(TOTAL):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def _psnr_stage(section: Pretraining) -> list[float]:
    config = Config(pretraining=section)
    stage = PsnrStage(config, RRDBNet(**SMALL), ALONE, total_steps=TOTAL)
    return [stage.learning_rates(batch)["g"] for batch in range(TOTAL)]


def _gan_stage(section: Training) -> dict[str, list[float]]:
    config = Config(training=section)
    features = torch.nn.Identity()
    stage = GanStage(config, RRDBNet(**SMALL), features, ALONE, total_steps=TOTAL)
    rates = [stage.learning_rates(batch) for batch in range(TOTAL)]
    return {name: [each[name] for each in rates] for name in ("g", "d")}


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (
            Pretraining(lr=2e-4, sched_step=7, sched_gamma=0.5),
            _rates(StepLR, step_size=7, gamma=0.5),
        ),
        (
            Pretraining(lr=2e-4, schedule="linear"),
            _rates(LinearLR, start_factor=1.0, end_factor=FLOOR, total_iters=TOTAL),
        ),
        (
            Pretraining(lr=2e-4, schedule="cosine"),
            _rates(CosineAnnealingLR, T_max=TOTAL, eta_min=FLOOR * 2e-4),
        ),
        (Pretraining(lr=2e-4, schedule="constant"), [2e-4] * TOTAL),
    ],
    ids=["step", "linear", "cosine", "constant"],
)
def test_the_psnr_stage_follows_pytorchs_schedulers(
    section: Pretraining, expected: list[float]
) -> None:
    assert _psnr_stage(section) == pytest.approx(expected, rel=1e-9)


def test_the_gan_stage_follows_multi_step_lr_or_one_fall_of_both_rates() -> None:
    ours = _gan_stage(
        Training(
            g_lr=2e-4, g_sched_steps=(5, 10, 30), g_sched_gamma=0.3, d_lr=2e-4, d_sched_steps=()
        )
    )
    stepped = _rates(MultiStepLR, milestones=[5, 10, 30], gamma=0.3)
    assert ours["g"] == pytest.approx(stepped, rel=1e-12)
    assert ours["d"] == [2e-4] * TOTAL
    ours = _gan_stage(Training(g_lr=2e-4, d_lr=1e-4, schedule="cosine"))
    fallen = _rates(CosineAnnealingLR, T_max=TOTAL, eta_min=FLOOR * 2e-4)
    assert ours["g"] == pytest.approx(fallen, rel=1e-9)
    assert ours["d"] == pytest.approx([rate / 2 for rate in fallen], rel=1e-9)


def test_cosine_and_linear_begin_at_the_rate_and_end_near_the_floor() -> None:
    for schedule in ("cosine", "linear"):
        first, middle, last = (
            schedule_factor(schedule, batch, total=1000, drops=9, gamma=0.5)
            for batch in (0, 500, 999)
        )
        assert (first, middle) == pytest.approx((1.0, (1 + FLOOR) / 2))
        assert FLOOR < last < 1.2 * FLOOR


def test_warm_up_grows_in_equal_steps_and_then_keeps_the_rate() -> None:
    rates = [warm_up(1.0, batch, steps=4) for batch in range(6)]
    assert rates == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert warm_up(1.0, 0, steps=0) == 1.0
