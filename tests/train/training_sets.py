"""Small prepared data sets, configurations that train on them, and their mini-batches."""

from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sr_train.config.schema import (
    Augmentation,
    Config,
    DiscriminatorConfig,
    Pretraining,
    Stage,
    Training,
)
from sr_train.data.build.prepare import prepare
from sr_train.data.loader import training_loader
from tests.train.made_images import Pixels, save, save_folder

PLAIN = Augmentation(probability=0, compression=0, coarse_dropout=0)
N = 10  # images of `mine`


def flat(seed: int) -> Pixels:
    """An image whose red identifies it, whose green is the row and whose blue is the column."""
    rows, columns = np.mgrid[:40, :52].astype(np.uint8)
    return np.dstack([np.full_like(rows, 10 * seed), rows, columns])


def prepare_sets(folder: Path) -> Path:
    """Prepare for ×4: `mine`, of `flat` images; `gray`, `rgb` and `small`, of noise."""
    for i in range(N):
        save(flat(i), folder / "mine" / f"{i}.png")
    save_folder(folder / "gray", (40, 40, 1), (48, 40, 1))
    save_folder(folder / "rgb", (40, 40), (48, 40))
    save_folder(folder / "small", (40, 40), (31, 40), (40, 24))
    for name in ("mine", "gray", "rgb", "small"):
        prepare(folder / name, root=folder / "root")
    return folder / "root"


def config(root: Path, *train: str, val: str = "mine", epochs: int = 3, **fields: Any) -> Config:
    """A configuration of both stages on these sets, without augmentation unless in `fields`."""
    stage = {
        "num_epoch": epochs,
        "cr_patch_size": fields.pop("cr_patch_size", (32, 32)),
        "train_datasets": train or ("mine",),
        "val_datasets": (val,),
    }
    defaults = {
        "batch_size": 4,
        "workers": 0,
        "augmentation": PLAIN,
        "discriminator": DiscriminatorConfig(type="unet"),
    }
    return Config(
        data_root=str(root),
        pretraining=Pretraining(**stage),
        training=Training(**stage),
        **(defaults | fields),
    )


def batches(config: Config, stage: Stage = "pretraining", **where: int) -> list[tuple[Tensor, ...]]:
    """The LR and HR mini-batches, from the first one unless `where` says otherwise."""
    return [tuple(batch) for batch in training_loader(config, stage, **{"batch": 0} | where)]
