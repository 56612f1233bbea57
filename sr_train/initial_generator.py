"""The generator that a run begins with: fresh, or that of `init`, for the same scale or another."""

import warnings
from dataclasses import asdict
from pathlib import Path

from sr_runtime.embedded import checkpoint_file
from sr_runtime.errors import ArgumentError, ModelError
from sr_train.checkpoint import load_generator
from sr_train.config.schema import Config
from sr_train.models.generator import Generator
from sr_train.models.rrdbnet import RRDBNet

__all__ = ["initial_generator"]


def initial_generator(config: Config) -> Generator:
    """Fresh weights, or those of `config.init`: an embedded model or any trainer's checkpoint.

    Raises:
        ModelError: The checkpoint holds no generator, or one that cannot be made fit for the scale.
        ArgumentError: Its generator has another number of channels than the configuration.
    """
    if config.init is None:
        return RRDBNet(
            scale_factor=config.scale_factor,
            img_channels=config.img_channels,
            **asdict(config.generator),
        )
    path = checkpoint_file(config.init)
    generator = load_generator(path)
    if (generator.scale_factor, config.scale_factor) == (2, 3):  # their tensors look alike
        generator = load_generator(path, scale=3)
    channels = {generator.in_channels, generator.out_channels}
    if channels != {config.img_channels}:
        raise ArgumentError(
            f"init has {' and '.join(map(str, sorted(channels)))} channels, but img_channels is "
            f"{config.img_channels}: make them the same",
            path=path,
        )
    if generator.scale_factor == config.scale_factor:
        return generator
    return _for_scale(config.scale_factor, generator, path)


def _for_scale(scale: int, generator: Generator, path: Path) -> Generator:
    """An RRDBNet for another scale, with all layers of `generator` that it has too.

    They differ in the convolutions between the steps of upsampling; a warning names those.
    """
    if not isinstance(generator, RRDBNet):
        raise ModelError(
            f"the network is a {generator.arch} for scale {generator.scale_factor}, and only an "
            f"RRDBNet can go on with another scale, such as {scale}: name another checkpoint, or "
            f"set scale_factor to {generator.scale_factor}",
            path=path,
        )
    changed = RRDBNet(**{**generator.architecture, "scale_factor": scale})
    known, fresh = generator.state_dict(), changed.state_dict()
    kept = {name for name in fresh if name in known and known[name].shape == fresh[name].shape}
    changed.load_state_dict({name: (known if name in kept else fresh)[name] for name in fresh})
    warnings.warn(
        f"{path}: the network was trained for scale {generator.scale_factor} and goes on for scale "
        f"{scale}: layers left out: {_layers(known.keys() - kept)}; layers with fresh weights: "
        f"{_layers(fresh.keys() - kept)}; its first results will be poor",
        RuntimeWarning,
        stacklevel=2,
    )
    return changed.eval()


def _layers(names: set[str]) -> str:
    return ", ".join(sorted({name.rpartition(".")[0] for name in names})) or "none"
