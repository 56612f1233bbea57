"""What is made of a run that has ended: the interpolated network and two pictures."""

from pathlib import Path

import PIL.Image

from sr_runtime.atomic import atomic_path
from sr_train.checkpoint import load_generator, save_generator
from sr_train.config.schema import Config
from sr_train.interpolate import interpolate
from sr_train.plots import draw_curves
from sr_train.validation import Validator

__all__ = ["write_results"]

NAMES = {"pretraining": "psnr", "training": "esrgan"}


def write_results(config: Config, folder: Path, validator: Validator) -> None:
    """Write weights/interpolated, comparison.png and curves.png."""
    weights = folder / "weights"
    names = [NAMES[stage] for stage in config.stage_names]
    generators = {name: load_generator(weights / f"{name}.safetensors") for name in names}
    if len(generators) == 2:
        mixed = interpolate(generators["psnr"], generators["esrgan"], config.interpolation_alpha)
        generators["interpolated"] = mixed
        save_generator(mixed, weights / "interpolated.safetensors")
    picture = validator.comparison(generators, config.stage_names[-1])
    with atomic_path(folder / "comparison.png") as temporary:
        PIL.Image.fromarray(picture).save(temporary)
    draw_curves(folder)
