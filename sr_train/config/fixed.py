"""The fields that cannot change while a run lasts."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from operator import attrgetter
from pathlib import Path
from typing import Any

from sr_runtime.errors import ArgumentError
from sr_train.config.generator import architecture_of
from sr_train.config.schema import Config

__all__ = ["check_unchanged", "fixed_values", "unchangeable"]

# What a run's weights, optimisers and position in its data depend on.
FIXED = (
    "stages", "init", "seed", "scale_factor", "img_channels", "batch_size", "channels_last",
    "pretraining.betas", "pretraining.cr_patch_size", "pretraining.train_datasets",
    "training.betas", "training.cr_patch_size", "training.train_datasets",
    "generator", "discriminator", "adversarial_loss.type",
    "pretraining.optimizer", "training.optimizer",
    # An older best score on easier images would never be beaten.
    "pretraining.val_datasets", "training.val_datasets", "validation.degradation",
)  # fmt: skip

# What the states of runs lack that began before there was a choice, and what these runs have.
ADDED = {
    "pretraining.optimizer": "adam",
    "training.optimizer": "adam",
    "validation.degradation": None,
}


def fixed_values(config: Config) -> dict[str, Any]:
    """Their values, as JSON has them, by their dotted names."""
    values = {name: attrgetter(name)(config) for name in FIXED}
    arch, sizes = architecture_of(config.generator)
    # Runs that began when there was no other type have only the sizes.
    values["generator"] = sizes if arch == "RRDBNet" else {"arch": arch, **sizes}
    found: dict[str, Any] = json.loads(json.dumps(values, default=asdict))
    return found


def check_unchanged(config: Config, before: Mapping[str, Any], folder: Path) -> None:
    """Raise ArgumentError if `config` changes a value that the run in `folder` had before."""
    before = ADDED | dict(before)
    for name, value in fixed_values(config).items():
        if name == "generator" and config.init is not None:
            continue  # the run has the architecture of `init`
        if value != before.get(name, value):  # older states lack some
            raise unchangeable(name, folder)


def unchangeable(name: str, folder: Path) -> ArgumentError:
    """Says that a field cannot change when the run in `folder` is resumed."""
    return ArgumentError(
        f"{name} cannot change when {folder} is resumed: leave it out, or start a new run with "
        f"--init {folder}/weights/…"
    )
