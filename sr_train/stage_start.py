"""What a stage starts from: its saved state, the stage before, anyone's checkpoint, or nothing."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch

from sr_runtime.errors import ArgumentError
from sr_train.checkpoint import load_generator
from sr_train.config.schema import Config, GeneratorConfig, Stage
from sr_train.distributed import Processes
from sr_train.models.features import FeatureNetwork
from sr_train.models.generator import Generator
from sr_train.models.registry import build_generator
from sr_train.models.rrdbnet import RRDBNet
from sr_train.run_state import restore_random_state
from sr_train.stages import GanStage, PsnrStage

__all__ = ["build_stage", "generator_config_of"]


def build_stage(
    config: Config,
    name: Stage,
    folder: Path,
    processes: Processes,
    features: FeatureNetwork | None,
    state: dict[str, Any] | None,
) -> PsnrStage | GanStage:
    """The stage of the run in `folder`, new, or as `state` has it.

    Raises ArgumentError if the checkpoint to start from has other channels or another scale.
    """
    torch.manual_seed(config.seed)
    generator = build_generator(*state["generator"]) if state else _generator(config, name, folder)
    stage: PsnrStage | GanStage
    if name == "pretraining":
        stage = PsnrStage(config, generator, processes)
    else:
        assert features is not None  # a run with this stage does not begin without them
        stage = GanStage(config, generator, features, processes)
    if state:
        for key, trainable in stage.trainables.items():
            trainable.load_state_dict(state["trainables"][key])
        restore_random_state(state["random"], processes.device)
    return stage


def generator_config_of(generator: Generator, told: GeneratorConfig) -> GeneratorConfig:
    """What a configuration must say of `generator`: with `init` it is not what the user said.

    Only an RRDBNet can be said; for another it is left as it was `told`.
    """
    if not isinstance(generator, RRDBNet):
        return told
    options: dict[str, Any] = generator.architecture
    return GeneratorConfig(**{field.name: options[field.name] for field in fields(GeneratorConfig)})


def _generator(config: Config, name: Stage, folder: Path) -> Generator:
    if name != config.stage_names[0]:
        return load_generator(folder / "weights" / "psnr.safetensors")
    if config.init is None:
        return RRDBNet(
            scale_factor=config.scale_factor,
            img_channels=config.img_channels,
            **asdict(config.generator),
        )
    generator = load_generator(config.init, scale=config.scale_factor)
    if generator.in_channels != config.img_channels:
        raise ArgumentError(
            f"init {config.init} has {generator.in_channels} channels and img_channels is "
            f"{config.img_channels}: make them the same"
        )
    return generator
