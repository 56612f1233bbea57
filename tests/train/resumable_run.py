"""A run of both stages that is tiny, and whose networks for losses need no download."""

import csv
from pathlib import Path

import torch

from sr_train.config.file import read_config
from sr_train.config.schema import Config
from sr_train.lpips import LAYERS
from sr_train.models.features import build_features

__all__ = ["PLAIN_VGG", "UNET", "Killed", "rows", "write_config_of", "write_loss_weights"]

# Ten crops in mini-batches of four: three an epoch, of which the last is filled up.
CONFIG = """
seed: 3
data_root: {root}
device: cpu
batch_size: 4
precision: fp32
deterministic: true
ema_decay: 0.9
workers: {workers}
log_every: 3
save_every: 4
pretraining:
  num_epoch: 3
  cr_patch_size: [32, 32]
  lr: 1e-3
  sched_step: 4
  train_datasets: [patches]
  val_datasets: [small]
training:
  num_epoch: 3
  cr_patch_size: [32, 32]
  g_sched_steps: [5]
  train_datasets: [patches]
  val_datasets: [small]
generator: {{rrdb_channels: 8, growth_channels: 4, num_basic_blocks: 1}}
discriminator: {discriminator}
adversarial_loss: {{type: {loss}, n_critic: 2}}
perceptual_loss:
  vgg_type: squeezenet1_1
  layer_weights: {{fire2: 1.0}}
  weights: {weights}/squeezenet.pth
validation:
  every_epochs: 2
  samples: 1
  lpips_weights: {weights}/lpips.pth
  squeezenet_weights: {weights}/squeezenet.pth
"""
UNET = "{type: unet, unet_channels: 4}"
PLAIN_VGG = "{type: vgg, vgg_blk_ch: [4, 4, 8, 8], fc_features: [8], batch_norm: false}"


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the product handles it."""


def write_loss_weights(folder: Path) -> None:
    """A SqueezeNet and LPIPS's heads of random weights, which any user may give."""
    torch.manual_seed(0)
    network = build_features("squeezenet1_1", LAYERS)
    torch.save(network.state_dict(), folder / "squeezenet.pth")
    heads = {
        f"lin{k}.model.1.weight": torch.rand(1, n, 1, 1) for k, n in enumerate(LAYERS.values())
    }
    torch.save(heads, folder / "lpips.pth")


def write_config_of(
    path: Path,
    data_root: Path,
    *,
    discriminator: str = UNET,
    loss: str = "ragan",
    workers: int = 0,
) -> Config:
    """Write the configuration, with weights beside it, and return it."""
    write_loss_weights(path.parent)
    path.write_text(
        CONFIG.format(
            root=data_root,
            weights=path.parent,
            discriminator=discriminator,
            loss=loss,
            workers=workers,
        )
    )
    return read_config(path)


def rows(folder: Path) -> list[dict[str, str]]:
    """The complete rows of metrics.csv."""
    path = folder / "metrics.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if None not in row.values()]
