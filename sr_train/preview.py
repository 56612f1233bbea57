"""Pictures of training crops as the network will see them, and what was done to each."""

from dataclasses import fields
from itertools import chain, islice
from pathlib import Path
from typing import Any

import PIL.Image

from sr_runtime.cli.console import say
from sr_runtime.errors import ArgumentError
from sr_runtime.storage.atomic import atomic_path, create_folder
from sr_train.config.schema import Config
from sr_train.data.degradation.process import Step
from sr_train.data.loader import TrainingCrops, training_loader
from sr_train.data.stage_data import check_data, stage_images
from sr_train.plots import magnified, side_by_side

__all__ = ["write_preview"]

CROPS = 32


def write_preview(config: Config, folder: Path) -> None:
    """Write the first crops of the first stage: HR, the prepared LR, and the degraded LR.

    Raises ArgumentError if the folder has files already or no crop would be degraded, and what
    `check_data` raises.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArgumentError("there is something already: name a new folder", path=folder)
    if config.degradation.probability == 0:
        raise ArgumentError(
            "degradation.probability is 0, so no crop would be degraded: set it, such as to 0.8"
        )
    check_data(config)
    stage = config.stage_names[0]
    crops = TrainingCrops(stage_images(config, stage, "train"), config, stage)
    keys = chain.from_iterable(training_loader(config, stage, batch=0).sampler)
    create_folder(folder)
    lines = []
    for number, key in enumerate(islice(keys, CROPS)):
        crop = crops.crop(key)
        panels = {
            "HR": crop.hr,
            "LR": magnified(crop.clean, config.scale_factor),
            "LR, degraded" if crop.steps else "LR, kept": magnified(crop.lr, config.scale_factor),
        }
        with atomic_path(folder / f"{number:02}.png") as temporary:
            PIL.Image.fromarray(side_by_side(panels)).save(temporary)
        told = "; ".join(map(_in_words, crop.steps)) or "nothing"
        lines.append(f"{number:02}: {told}\n")
    with atomic_path(folder / "steps.txt") as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")
    say(f"{folder}: {len(lines)} crops of {stage}; steps.txt has what was done to each")


def _in_words(step: Step) -> str:
    values = ", ".join(f"{f.name} {_value(getattr(step, f.name))}" for f in fields(step))
    return f"{type(step).__name__} ({values})"


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return " × ".join(map(_value, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)
