"""The two stages of ESRGAN: what one mini-batch does to the networks.

The PSNR stage is the configuration's `pretraining`, the GAN stage its `training`.
Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", 2018
(arXiv:1809.00219). A stage owns its networks; it knows nothing of files and epochs.
"""

from bisect import bisect_right
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from sr_train.config.schema import Config, Stage
from sr_train.distributed import Processes
from sr_train.learning_rates import schedule_factor, warm_up
from sr_train.losses import (
    content_loss,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    perceptual_loss,
)
from sr_train.models.discriminator import UNetDiscriminator, VGGDiscriminator
from sr_train.models.features import FeatureNetwork
from sr_train.models.generator import Generator
from sr_train.optimizers import OptimizerName
from sr_train.trainable import Trainable, to_device

__all__ = [
    "GanStage",
    "PsnrStage",
    "build_discriminator",
    "random_view",
]

Pair = tuple[Tensor, Tensor]
View = Callable[[Tensor], Tensor]


class PsnrStage:
    """The generator alone learns the pixels."""

    name: ClassVar[Stage] = "pretraining"
    """Its section of the configuration, and its name in files."""

    def __init__(
        self, config: Config, generator: Generator, processes: Processes, *, total_steps: int
    ) -> None:
        self.config = config
        self.processes = processes
        self.total_steps = total_steps
        self.generator = Trainable(
            generator,
            config,
            processes,
            optimizer=config.pretraining.optimizer,
            betas=config.pretraining.betas,
            ema_decay=config.ema_decay,
        )
        self.trainables: dict[str, Trainable[Any]] = {"g": self.generator}

    def learning_rates(self, batch: int) -> dict[str, float]:
        """The rate of each trainable in mini-batch `batch` of the stage, counted from 0."""
        options = self.config.pretraining
        factor = schedule_factor(
            options.schedule,
            batch,
            total=self.total_steps,
            drops=batch // options.sched_step,
            gamma=options.sched_gamma,
        )
        return {"g": warm_up(options.lr * factor, batch, steps=self.config.warmup_steps)}

    def step(self, lr: Tensor, hr: Tensor, batch: int) -> dict[str, Tensor]:
        """Learn from uint8 `(N, C, h, w)` and `(N, C, H, W)`; return losses and gradient norm."""
        parts = _parts(lr, hr, self.config, self.processes)
        losses = []
        for low, high in self.generator.accumulate(parts):
            with self.generator.autocast():
                sr = self.generator.parallel(low)
            loss = content_loss(sr, high, self.config.content_loss.loss_f)
            self.generator.backward(loss / len(parts))
            losses.append(loss.detach())
        norm = self.generator.step(self.learning_rates(batch)["g"])
        return {"content": torch.stack(losses).mean(), "gradient_norm_g": norm}


class GanStage:
    """The generator learns features and to fool a discriminator trained alongside it.

    Every mini-batch updates the generator by L = perceptual + λ·adversarial + η·content, then the
    discriminator. With gradient accumulation the relativistic mean of `ragan` is taken over each
    part alone: the mean over the whole mini-batch would need every forward pass twice.
    """

    name: ClassVar[Stage] = "training"
    """Its section of the configuration, and its name in files."""

    def __init__(
        self,
        config: Config,
        generator: Generator,
        features: FeatureNetwork,
        processes: Processes,
        *,
        total_steps: int,
    ) -> None:
        self.config = config
        self.processes = processes
        self.total_steps = total_steps
        self.loss = config.adversarial_loss.type
        wasserstein = self.loss in ("wgan", "wgan-gp")
        self.critic_steps = config.adversarial_loss.n_critic if wasserstein else 1
        # Clipped weights and momentum together are unstable (Arjovsky et al., 2017, section 3).
        optimizer: OptimizerName = "rmsprop" if self.loss == "wgan" else "adam"
        betas = config.training.betas
        self.generator = Trainable(
            generator,
            config,
            processes,
            optimizer="rmsprop" if self.loss == "wgan" else config.training.optimizer,
            betas=betas,
            ema_decay=config.ema_decay,
        )
        self.discriminator = Trainable(
            build_discriminator(config), config, processes, optimizer=optimizer, betas=betas
        )
        self.features = to_device(features, config, processes)
        if config.compile and not config.perceptual_loss.random_view:
            self.features.compile()  # random views would recompile it for each of their sizes
        self.trainables: dict[str, Trainable[Any]] = {"g": self.generator, "d": self.discriminator}

    def learning_rates(self, batch: int) -> dict[str, float]:
        """The rate of each trainable in mini-batch `batch` of the stage, counted from 0."""
        options, steps = self.config.training, self.config.warmup_steps
        g, d = (
            lr
            * schedule_factor(
                options.schedule,
                batch,
                total=self.total_steps,
                drops=bisect_right(milestones, batch),
                gamma=gamma,
            )
            for lr, milestones, gamma in (
                (options.g_lr, options.g_sched_steps, options.g_sched_gamma),
                (options.d_lr, options.d_sched_steps, options.d_sched_gamma),
            )
        )
        return {"g": warm_up(g, batch, steps=steps), "d": warm_up(d, batch, steps=steps)}

    def step(self, lr: Tensor, hr: Tensor, batch: int) -> dict[str, Tensor]:
        """Learn from uint8 `(N, C, h, w)` and `(N, C, H, W)`; return losses and gradient norms."""
        parts = _parts(lr, hr, self.config, self.processes)
        rates = self.learning_rates(batch)
        if (batch + 1) % self.critic_steps == 0:
            values, srs = self._generator_step(parts, rates["g"], batch)
        else:
            values, srs = {}, self._super_resolve(parts)
        return values | self._discriminator_step(parts, srs, rates["d"])

    def _generator_step(
        self, parts: list[Pair], rate: float, batch: int
    ) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Update the generator, with the discriminator frozen; return losses and SR images."""
        options, discriminator = self.config.training, self.discriminator.network
        view: View = nn.Identity()
        if self.config.perceptual_loss.random_view:
            view = random_view(self.config.seed, batch, self.config.scale_factor)
        discriminator.requires_grad_(False)
        losses, srs = [], []
        for low, high in self.generator.accumulate(parts):
            with self.generator.autocast():
                sr = self.generator.parallel(low)
                sr_features, fake = self.features(view(sr)), discriminator(sr)
                with torch.no_grad():
                    hr_features = self.features(view(high))
                    real = discriminator(high) if self.loss == "ragan" else None
            content = content_loss(sr, high, self.config.content_loss.loss_f)
            perceptual = perceptual_loss(sr_features, hr_features, self.config.perceptual_loss)
            adversarial = generator_loss(self.loss, real, fake, mean=self.processes.mean)
            total = (
                perceptual
                + options.g_adversarial_loss_scaling * adversarial
                + options.g_content_loss_scaling * content
            )
            self.generator.backward(total / len(parts))
            losses.append(torch.stack([content, perceptual, adversarial, total]).detach())
            srs.append(sr.detach())
        norm = self.generator.step(rate)
        discriminator.requires_grad_(True)
        names = ("content", "perceptual", "g_adversarial", "g_total")
        values = dict(zip(names, torch.stack(losses).mean(0), strict=True))
        return values | {"gradient_norm_g": norm}, srs

    @torch.no_grad()
    def _super_resolve(self, parts: list[Pair]) -> list[Tensor]:
        with self.generator.autocast():
            return [self.generator.network(low) for low, _ in parts]

    def _discriminator_step(
        self, parts: list[Pair], srs: list[Tensor], rate: float
    ) -> dict[str, Tensor]:
        """Update the discriminator on HR images and the SR images of the same mini-batch."""
        options, trainable = self.config.adversarial_loss, self.discriminator
        losses = []
        for (_, high), sr in trainable.accumulate(list(zip(parts, srs, strict=True))):
            with trainable.autocast():
                real, fake = trainable.parallel(high), trainable.parallel(sr)
            loss = discriminator_loss(self.loss, real, fake, mean=self.processes.mean)
            if self.loss == "wgan-gp":
                penalty = gradient_penalty(trainable.network, high, sr)
                loss = loss + options.gp_weight * penalty
            trainable.backward(loss / len(parts))
            losses.append(loss.detach())
        norm = trainable.step(rate)
        if self.loss == "wgan":
            with torch.no_grad():
                for parameter in trainable.parameters:
                    parameter.clamp_(-options.wgan_clip, options.wgan_clip)
        return {"d_adversarial": torch.stack(losses).mean(), "gradient_norm_d": norm}


def build_discriminator(config: Config) -> VGGDiscriminator | UNetDiscriminator:
    """The discriminator of the GAN stage, with fresh weights."""
    options = config.discriminator
    if options.type == "unet":
        return UNetDiscriminator(
            img_channels=config.img_channels, unet_channels=options.unet_channels
        )
    assert config.training.cr_patch_size is not None  # the configuration's checks refuse it
    return VGGDiscriminator(
        img_channels=config.img_channels,
        vgg_blk_ch=options.vgg_blk_ch,
        fc_features=options.fc_features,
        patch_size=config.training.cr_patch_size,
        batch_norm=options.batch_norm,
    )


def random_view(seed: int, batch: int, scale: int) -> View:
    """A random shift by less than `scale` pixels and symmetry of `(N, C, H, W)`, fixed by `batch`.

    A feature network with strides is blind to some patterns whose period is the generator's scale,
    more so if they always have the same orientation; a generator trained against it produces them.
    Random views expose them: Kettunen et al., "E-LPIPS", 2019 (arXiv:1906.03973).
    """
    random = np.random.default_rng((seed, batch))
    top, left = random.integers(scale, size=2).tolist()
    quarters, mirrored = int(random.integers(4)), bool(random.integers(2))

    def view(images: Tensor) -> Tensor:
        turned = torch.rot90(images[:, :, top:, left:], quarters, dims=(2, 3))
        return turned.flip(3) if mirrored else turned

    return view


def _parts(lr: Tensor, hr: Tensor, config: Config, processes: Processes) -> list[Pair]:
    """The mini-batch on the device as floats in [0, 1], in the parts to be accumulated."""
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    low, high = (
        images.to(processes.device, non_blocking=True)
        .to(torch.float32, memory_format=layout)
        .div_(255)
        .chunk(config.grad_accumulation)
        for images in (lr, hr)
    )
    return list(zip(low, high, strict=True))
