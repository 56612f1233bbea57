"""What a stage starts from: a saved state, the stage before, a checkpoint, or fresh weights."""

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
from sr_train.run_folder import weights_path
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
    """The stage `name` of the run in `folder`, new or restored from `state`.

    Raises:
        ModelError: The checkpoint to start from holds no generator, or one of another scale.
        ArgumentError: Its generator has another number of channels than the configuration.
    """
    torch.manual_seed(config.seed)
    generator = build_generator(*state["generator"]) if state else _generator(config, name, folder)
    stage: PsnrStage | GanStage
    if name == PsnrStage.name:
        stage = PsnrStage(config, generator, processes)
    else:
        assert features is not None  # without them the Validator has refused this run
        stage = GanStage(config, generator, features, processes)
    if state:
        for key, trainable in stage.trainables.items():
            trainable.load_state_dict(state["trainables"][key])
        restore_random_state(state["random"], processes.device)
    return stage


def generator_config_of(generator: Generator, configured: GeneratorConfig) -> GeneratorConfig:
    """GeneratorConfig describing `generator`; `init` overrides the user's section.

    It describes RRDBNets only: for other architectures it stays as `configured`.
    """
    if not isinstance(generator, RRDBNet):
        return configured
    options: dict[str, Any] = generator.architecture
    return GeneratorConfig(**{field.name: options[field.name] for field in fields(GeneratorConfig)})


def _generator(config: Config, name: Stage, folder: Path) -> Generator:
    if name != config.stage_names[0]:
        return load_generator(weights_path(folder, "psnr"))
    if config.init is None:
        return RRDBNet(
            scale_factor=config.scale_factor,
            img_channels=config.img_channels,
            **asdict(config.generator),
        )
    generator = load_generator(config.init, scale=config.scale_factor)
    if generator.in_channels != config.img_channels:
        raise ArgumentError(
            f"init has {generator.in_channels} channels, but img_channels is "
            f"{config.img_channels}: make them the same",
            path=config.init,
        )
    return generator
