"""The generator that a run begins with: fresh, or that of `init`, for the same scale or another."""

import contextlib
import warnings
from pathlib import Path

from sr_runtime.embedded import checkpoint_file
from sr_runtime.errors import ArgumentError, ModelError
from sr_train.checkpoint import load_generator
from sr_train.config.generator import architecture_of
from sr_train.config.schema import Config
from sr_train.models.generator import Generator
from sr_train.models.registry import build_generator

__all__ = ["fresh_generator", "initial_generator"]


def fresh_generator(config: Config) -> Generator:
    """The generator that `config.generator` describes, with initial weights."""
    arch, sizes = architecture_of(config.generator)
    images = {"scale_factor": config.scale_factor, "img_channels": config.img_channels}
    return build_generator(arch, {**images, **sizes})


def initial_generator(config: Config) -> Generator:
    """Fresh weights, or those of `config.init`: an embedded model or any trainer's checkpoint.

    Raises:
        ModelError: The checkpoint holds no generator.
        ArgumentError: Its generator has another number of channels than the configuration, or is
            of another type than the one that was chosen.
    """
    if config.init is None:
        return fresh_generator(config)
    path = checkpoint_file(config.init)
    generator = load_generator(path)
    if (generator.scale_factor, config.scale_factor) == (2, 3):  # their tensors look alike
        with contextlib.suppress(ModelError):  # a file that says that it is for scale 2
            generator = load_generator(path, scale=3)
    chosen = config.generator.type
    if chosen is not None and architecture_of(config.generator)[0] != generator.arch:
        raise ArgumentError(
            f"generator.type is {chosen}, and init is of the architecture {generator.arch}: set "
            "generator.type to null, or init to null to begin anew",
            path=path,
        )
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
    """The network for another scale, with all layers of `generator` that it has too.

    They differ in the convolutions of the upsampling; a warning names those.
    """
    changed = build_generator(generator.arch, {**generator.architecture, "scale_factor": scale})
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
