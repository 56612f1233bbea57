"""How far a run is, and whether its state fits the configuration and data it is resumed with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr_runtime.errors import ArgumentError
from sr_train.config.schema import Config, Stage
from sr_train.data.stage_data import data_digest

__all__ = ["Position", "check_resumable", "data_fingerprint"]


@dataclass
class Position:
    """How far a run is."""

    stage: Stage
    epoch: int = 0
    """Epochs of the stage that are over."""
    batch: int = 0
    """Mini-batches of this epoch that are over."""
    step: int = 0
    """Mini-batches of the run that are over."""
    validated: int = 0
    """Epochs that were over at the last validation."""

    def advance(self, per_epoch: int) -> None:
        """One mini-batch further."""
        self.step += 1
        self.batch += 1
        if self.batch == per_epoch:
            self.epoch, self.batch = self.epoch + 1, 0


def data_fingerprint(config: Config) -> dict[str, dict[str, Any]]:
    """What a state depends on beside its networks, by stage."""
    return {
        stage: {
            "epochs": config.section(stage).num_epoch,
            "data": data_digest(config, stage),
        }
        for stage in config.stage_names
    }


def check_resumable(config: Config, folder: Path, state: dict[str, Any]) -> None:
    """Raise ArgumentError where other data, or other epochs, make a state useless."""
    position = Position(**state["position"])
    stages = config.stage_names
    for stage in stages[: stages.index(position.stage) + 1]:
        before, now = state["data_fingerprint"][stage], data_fingerprint(config)[stage]
        if before["data"] != now["data"]:
            raise ArgumentError(
                f"the images of {stage}.train_datasets are not those that {folder} was trained on: "
                "prepare those again, or start a new run with --init on its weights"
            )
        if stage != position.stage and before["epochs"] != now["epochs"]:
            raise ArgumentError(
                f"{stage}.num_epoch cannot become {now['epochs']}: {folder} has ended that stage "
                f"after {before['epochs']} epochs; start a new run with --init on its weights"
            )
    last = config.section(position.stage).num_epoch
    if last < position.epoch or (last == position.epoch and position.batch):
        raise ArgumentError(
            f"{position.stage}.num_epoch cannot become {last}: {folder} is in epoch "
            f"{position.epoch + 1} already; give {position.epoch + 1} or more to end it soon"
        )
