"""The optimisers of the networks: Adam, RMSProp for WGAN, and schedule-free AdamW."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from sr_runtime.errors import require_extra
from sr_train.config.schema import Config

__all__ = ["OptimizerName", "build_optimizer", "check_optimizers"]

OptimizerName = Literal["adam", "rmsprop", "schedule_free"]


def build_optimizer(
    name: OptimizerName, parameters: Sequence[Tensor], betas: tuple[float, float]
) -> torch.optim.Optimizer:
    """The optimiser, whose learning rate every step sets.

    Raises BackendError, naming the extra, if the package of schedule-free AdamW is not installed.
    """
    match name:
        case "adam":
            return torch.optim.Adam(parameters, lr=0.0, betas=betas, fused=True)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, lr=0.0)
        case "schedule_free":
            optimizer = _schedule_free()(parameters, lr=0.0, betas=betas)
            optimizer.train()
            return optimizer  # type: ignore[no-any-return]


def check_optimizers(config: Config) -> None:
    """Raise BackendError if a stage, perhaps a later one, has an optimiser that is missing."""
    if any(config.section(name).optimizer == "schedule_free" for name in config.stage_names):
        _schedule_free()


def _schedule_free() -> Any:
    """Defazio et al., "The Road Less Scheduled", 2024 (arXiv:2405.15682)."""
    with require_extra("schedule-free"):
        from schedulefree import AdamWScheduleFree
    return AdamWScheduleFree
