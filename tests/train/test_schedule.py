"""Learning rates, against PyTorch's own schedulers."""

import pytest
import torch
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, StepLR

from sr_train.stages import multi_step_lr, step_lr, warm_up


def _rates(make: type[LRScheduler], **options: object) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2e-4)
    scheduler = make(optimizer, **options)
    rates = []
    for _ in range(40):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_the_psnr_stage_follows_step_lr() -> None:
    ours = [step_lr(2e-4, batch, every=7, gamma=0.5) for batch in range(40)]
    assert ours == pytest.approx(_rates(StepLR, step_size=7, gamma=0.5), rel=1e-12)


def test_the_gan_stage_follows_multi_step_lr() -> None:
    ours = [multi_step_lr(2e-4, batch, milestones=(5, 10, 30), gamma=0.3) for batch in range(40)]
    assert ours == pytest.approx(_rates(MultiStepLR, milestones=[5, 10, 30], gamma=0.3), rel=1e-12)


def test_warm_up_grows_in_equal_steps_and_then_keeps_the_rate() -> None:
    rates = [warm_up(1.0, batch, steps=4) for batch in range(6)]
    assert rates == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert warm_up(1.0, 0, steps=0) == 1.0
