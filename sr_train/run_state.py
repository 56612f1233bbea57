"""The state of a run: checking that it fits, and building its stage from it."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sr_runtime.errors import ArgumentError, DataError
from sr_train.checkpoint import load_generator
from sr_train.checksum import file_sha256
from sr_train.config.fixed import check_unchanged
from sr_train.config.schema import Config, Stage
from sr_train.data.stage_data import StageSteps, data_digest, stage_steps
from sr_train.distributed import Processes
from sr_train.initial_generator import initial_generator
from sr_train.models.features import FeatureNetwork
from sr_train.models.generator import Generator
from sr_train.models.registry import build_generator
from sr_train.run_folder import weights_path
from sr_train.stages import GanStage, PsnrStage

__all__ = [
    "Position",
    "build_stage",
    "check_resumable",
    "data_fingerprint",
    "random_state",
]


@dataclass
class Position:
    """How far a run is."""

    stage: Stage
    batch: int = 0
    """Finished mini-batches of the stage."""
    step: int = 0
    """Finished mini-batches of the run."""
    validated: int = 0
    """Mini-batches of the stage that were finished at the last validation."""
    due: bool = False
    """A validation was due here when the run was saved; after a resume intervals may differ."""

    def advance(self) -> None:
        """Count one mini-batch."""
        self.step += 1
        self.batch += 1
        self.due = False

    def validation_is_due(self, steps: StageSteps) -> bool:
        """Whether the stage is at the end of an interval, or at its own, and not validated yet."""
        at_an_end = self.batch % steps.between_validations == 0 or self.batch == steps.total
        return (self.due or at_an_end) and self.batch != self.validated


def data_fingerprint(config: Config) -> dict[str, dict[str, Any]]:
    """What a state depends on besides its networks, by stage."""
    return {
        stage: {
            "steps": stage_steps(config, stage).total,
            "data": data_digest(config, stage, "train"),
            "validation": data_digest(config, stage, "val"),
        }
        for stage in config.stage_names
    }


def check_resumable(config: Config, folder: Path, state: dict[str, Any]) -> None:
    """Check that the run's state fits this configuration, the images it names, and its weights.

    Raises:
        ArgumentError: A stage is shorter than what the run has done of it, or is finished and of
            another length; or another field cannot change.
        DataError: The images, or weights that the run needs again, have changed.
    """
    check_unchanged(config, state["fixed"], folder)
    position = Position(**state["position"])
    steps = stage_steps(config, position.stage)
    name = "best" if position.stage == PsnrStage.name else "psnr"
    # A validation writes `best` before the state says that it took place.
    if name in state["weights"] and not (name == "best" and position.validation_is_due(steps)):
        _check_is_ours(weights_path(folder, name), state["weights"][name])
    stages = config.stage_names
    fingerprint = data_fingerprint(config)
    for stage in stages[: stages.index(position.stage) + 1]:
        before, now = state["data_fingerprint"][stage], fingerprint[stage]
        for name, field in (("data", "train_datasets"), ("validation", "val_datasets")):
            if before.get(name, now[name]) != now[name]:  # older states lack those of validation
                raise DataError(
                    f"the images of {stage}.{field} are not those that the run began with: prepare "
                    "those again, or start a new run with --init on its weights",
                    path=folder,
                )
        if stage != position.stage and before["steps"] != now["steps"]:
            raise ArgumentError(
                f"{_length(config, stage)}: the run finished that stage after {before['steps']} "
                "mini-batches; start a new run with --init on its weights",
                path=folder,
            )
    if steps.total < position.batch:
        in_epochs = config.section(position.stage).num_steps is None
        least = math.ceil(position.batch / steps.per_epoch) if in_epochs else position.batch
        raise ArgumentError(
            f"{_length(config, position.stage)}: the run has done {position.batch} mini-batches of "
            f"that stage; give {least} or more",
            path=folder,
        )


def _length(config: Config, stage: Stage) -> str:
    """The beginning of a message about the length of a stage."""
    section = config.section(stage)
    if section.num_steps is None:
        return f"{stage}.num_epoch cannot become {section.num_epoch}"
    return f"{stage}.num_steps cannot become {section.num_steps}"


def _check_is_ours(path: Path, sha256: str) -> None:
    """Raise DataError unless weights that the run reads again are those that it wrote."""
    if not (path.is_file() and file_sha256(path) == sha256):
        raise DataError(
            "is missing or not what this run wrote, and the run reads it again: put it back, or "
            "start a new run with --init on the weights to go on from",
            path=path,
        )


def build_stage(
    config: Config,
    name: Stage,
    folder: Path,
    processes: Processes,
    features: FeatureNetwork | None,
    state: dict[str, Any] | None,
) -> PsnrStage | GanStage:
    """The stage `name` of the run in `folder`: restored from `state`, with PyTorch's random
    generators, or new, from the stage before, the checkpoint `config.init`, or fresh weights.

    Raises:
        ModelError: The checkpoint to start from holds no generator, or one of another scale.
        ArgumentError: Its generator has another number of channels than the configuration.
    """
    torch.manual_seed(config.seed)
    generator = (
        _generator(config, name, folder) if state is None else build_generator(*state["generator"])
    )
    total = stage_steps(config, name).total
    stage: PsnrStage | GanStage
    if name == PsnrStage.name:
        stage = PsnrStage(config, generator, processes, total_steps=total)
    else:
        assert features is not None  # without them the Validator has refused this run
        stage = GanStage(config, generator, features, processes, total_steps=total)
    if state is not None:
        for key, trainable in stage.trainables.items():
            trainable.load_state_dict(state["trainables"][key])
        torch.set_rng_state(state["random"]["cpu"])
        if state["random"]["cuda"] is not None and processes.device.type == "cuda":
            torch.cuda.set_rng_state(state["random"]["cuda"], processes.device)
    return stage


def _generator(config: Config, name: Stage, folder: Path) -> Generator:
    if name != config.stage_names[0]:
        return load_generator(weights_path(folder, "psnr"))
    return initial_generator(config)


def random_state(device: torch.device) -> dict[str, Any]:
    """The state of PyTorch's random generators on the CPU and on `device`."""
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return {"cpu": torch.get_rng_state(), "cuda": cuda}
