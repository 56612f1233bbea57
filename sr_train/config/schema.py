"""`Config`: everything that a training run depends on, by the documented names.

Nested frozen dataclasses. Constructing one checks it: the limits of each field first, then the
combinations of fields. `sr_train.config.file` reads one from YAML, JSON and the command line.
"""

from dataclasses import dataclass, field
from math import lcm
from operator import attrgetter
from typing import Literal

from sr_runtime.errors import ArgumentError
from sr_train.config import limits
from sr_train.config.degradation import Degradation
from sr_train.config.generator import foreign_sizes
from sr_train.config.limits import BatchSize, Count, Decay, Fraction, Positive
from sr_train.config.sections import (
    AdversarialLoss,
    Augmentation,
    ContentLoss,
    DiscriminatorConfig,
    GeneratorConfig,
    PerceptualLoss,
    Pretraining,
    Training,
    Validation,
    Wandb,
)
from sr_train.network_facts import perceptual_layers

__all__ = [
    "EPOCHS_OR_STEPS", "AdversarialLoss", "Augmentation", "Config", "ContentLoss", "Degradation",
    "DiscriminatorConfig", "GeneratorConfig", "PerceptualLoss", "Pretraining", "Stage", "Training",
    "Validation", "Wandb",
]  # fmt: skip

Stage = Literal["pretraining", "training"]

EPOCHS_OR_STEPS = (
    ("pretraining.num_epoch", "pretraining.num_steps"),
    ("training.num_epoch", "training.num_steps"),
    ("validation.every_epochs", "validation.every_steps"),
)
"""Fields for the same length in epochs and in mini-batches: one of each two is null."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """The whole run."""

    stages: Literal["pretraining,training", "pretraining", "training"] = "pretraining,training"
    """Stages to run."""
    init: limits.Name | None = None
    """A model of the package (psnr, for instance) or any trainer's checkpoint to start from; null
    starts from fresh weights."""
    seed: limits.Seed = 0
    """Seed of initial weights, crops and augmentation."""
    data_root: limits.Name = "data"
    """Folder of the prepared data sets and weights, the `--root` of `prepare` and `evaluate`."""
    scale_factor: limits.Scale = 4
    """How many times higher and wider the output is than the input."""
    batch_size: BatchSize = 16
    """Crops in a mini-batch, summed over all GPUs and all accumulated parts."""
    img_channels: limits.ImageChannels = 3
    """Channels of an image: 3 for RGB, 1 for gray."""
    device: limits.Device = "auto"
    """Device to train on; auto takes CUDA if a GPU is available, else the CPU."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Precision of arithmetic; weights stay fp32. auto takes bf16 where it is native, else fp32."""
    channels_last: bool = True
    """Keep tensors in the channels-last memory format, which is faster on most devices."""
    compile: bool = False
    """Compile the networks with torch.compile."""
    deterministic: bool = False
    """Use only algorithms that give the same result every time, on GPUs too."""
    grad_accumulation: Count = 1
    """Parts of a mini-batch, computed one by one; ragan and batch norm average over each alone."""
    grad_clip: Positive | None = None
    """Norm to which larger gradients of each network are clipped; null turns clipping off."""
    ema_decay: Decay = 0.999
    """Decay of the average of the generator's weights, which is validated and saved; 0 is off."""
    warmup_steps: limits.CountOrZero = 0
    """Mini-batches at the start of each stage over which learning rates grow from 0."""
    max_skipped_steps: Count = 20
    """Consecutive steps with NaN or infinite gradients that are skipped before training stops."""
    workers: limits.CountOrZero = 2
    """Processes that load data; with 0, the training process loads it itself."""
    log_every: Count = 100
    """Mini-batches between two rows of metrics."""
    save_every: Count = 1000
    """Mini-batches between two saves of the training state."""
    interpolation_alpha: Fraction = 0.8
    """α of weights/interpolated, which is (1 − α)·PSNR + α·GAN."""
    pretraining: Pretraining = field(default_factory=Pretraining)
    training: Training = field(default_factory=Training)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    content_loss: ContentLoss = field(default_factory=ContentLoss)
    perceptual_loss: PerceptualLoss = field(default_factory=PerceptualLoss)
    adversarial_loss: AdversarialLoss = field(default_factory=AdversarialLoss)
    augmentation: Augmentation = field(default_factory=Augmentation)
    degradation: Degradation = field(default_factory=Degradation)
    validation: Validation = field(default_factory=Validation)
    wandb: Wandb = field(default_factory=Wandb)

    def __post_init__(self) -> None:
        """Raise ArgumentError for the first value, or pair of values, that is not allowed."""
        limits.check_fields(self)
        self._check_lengths()
        self._check_generator()
        self._check_layers()
        self._check_symmetry()
        if self.stages == "training" and self.init is None:
            raise ArgumentError(
                "stages is training, which starts from a generator, but init is null: name a "
                "checkpoint with init, or set stages to pretraining,training"
            )
        if self.batch_size % self.grad_accumulation:
            raise ArgumentError(
                f"batch_size is {self.batch_size}, which cannot be divided into grad_accumulation "
                f"{self.grad_accumulation} equal parts: change one of them"
            )
        for stage in self.stage_names:
            self._check_crops(stage)
            self._check_optimizer(stage)
        if "training" in self.stage_names:
            self._check_discriminator()

    @property
    def stage_names(self) -> tuple[Stage, ...]:
        """The stages to run, in order."""
        names: tuple[Stage, ...] = ("pretraining", "training")
        return tuple(name for name in names if name in self.stages.split(","))

    def section(self, stage: Stage) -> Pretraining | Training:
        """The section of a stage."""
        return self.pretraining if stage == "pretraining" else self.training

    def _check_lengths(self) -> None:
        for epochs, steps in EPOCHS_OR_STEPS:
            given = attrgetter(epochs, steps)(self)
            if given.count(None) != 1:
                values = ["null" if value is None else str(value) for value in given]
                raise ArgumentError(
                    f"{epochs} is {values[0]} and {steps} is {values[1]}: give one of them a "
                    "number, and null to the other"
                )

    def _check_generator(self) -> None:
        given, default = self.generator, GeneratorConfig()
        if given.type is None and self.init is not None:
            return  # all sizes are those of init
        for name in foreign_sizes(given.kind):
            if (size := getattr(given, name)) != getattr(default, name):
                raise ArgumentError(
                    f"generator.{name} is {size}, and a generator of the type {given.kind} has no "
                    "such size: leave it out, or choose another generator.type"
                )

    def _check_layers(self) -> None:
        network = self.perceptual_loss.vgg_type
        layers = perceptual_layers(network)
        if unknown := [name for name in self.perceptual_loss.layer_weights if name not in layers]:
            raise ArgumentError(
                f"perceptual_loss.layer_weights has {unknown[0]}, which is not a layer of "
                f"{network}: choose from {', '.join(layers)}, or change perceptual_loss.vgg_type"
            )

    def _check_symmetry(self) -> None:
        given = self.augmentation
        chosen = given.symmetry == "flip_or_transpose" and given.probability > 0
        if chosen and given.flip_weight + given.transpose_weight == 0:
            raise ArgumentError(
                "augmentation.flip_weight and augmentation.transpose_weight are both 0: raise one "
                "of them, or set augmentation.probability to 0"
            )

    def _check_crops(self, stage: Stage) -> None:
        name, size = f"{stage}.cr_patch_size", self.section(stage).cr_patch_size
        if size is None:
            if self.grad_accumulation > 1:
                raise ArgumentError(
                    f"{name} is null, which makes every image a mini-batch, but grad_accumulation "
                    f"is {self.grad_accumulation}: set it to 1, or give a size"
                )
            return
        multiple, why = self.scale_factor, f"scale_factor {self.scale_factor}"
        if stage == "training":
            stride = self.discriminator.stride
            multiple = lcm(multiple, stride)
            why += f" and the stride {stride} of the {self.discriminator.type} discriminator"
        if any(side % multiple for side in size):
            nearest = multiple * max(1, round(size[0] / multiple))
            raise ArgumentError(
                f"{name} is {list(size)}: height and width must be multiples of {multiple}, for "
                f"{why}, such as {nearest}"
            )
        if self.augmentation.transposes and size[0] != size[1]:
            raise ArgumentError(
                f"{name} is {list(size)}, but crops that may be transposed must be square: take a "
                "square, or set augmentation.symmetry to flip_or_transpose and "
                "augmentation.transpose_weight to 0"
            )

    def _check_optimizer(self, stage: Stage) -> None:
        section = self.section(stage)
        if section.optimizer != "schedule_free":
            return
        if section.schedule != "constant":
            raise ArgumentError(
                f"{stage}.optimizer is schedule_free, whose average takes the place of a falling "
                f"rate, but {stage}.schedule is {section.schedule}: set it to constant"
            )
        if section.betas[0] == 0:
            raise ArgumentError(
                f"{stage}.optimizer is schedule_free, which divides by the first of {stage}.betas, "
                "but that is 0: raise it, to 0.9 for example"
            )
        if stage == "training" and self.adversarial_loss.type == "wgan":
            raise ArgumentError(
                "training.optimizer is schedule_free, but adversarial_loss.type is wgan, which "
                "takes RMSProp for both networks: set one of them to another value"
            )

    def _check_discriminator(self) -> None:
        if self.discriminator.type == "vgg" and self.training.cr_patch_size is None:
            raise ArgumentError(
                "training.cr_patch_size is null, but the vgg discriminator takes images of one "
                "size: give a size, or set discriminator.type to unet"
            )
        if self.adversarial_loss.type != "wgan-gp":
            return
        if self.compile:
            raise ArgumentError(
                "adversarial_loss.type is wgan-gp, whose gradient penalty torch.compile cannot "
                "differentiate twice: set compile to false"
            )
        if self.discriminator.type == "vgg" and self.discriminator.batch_norm:
            raise ArgumentError(
                "adversarial_loss.type is wgan-gp, whose gradient penalty is for each image alone, "
                "but batch normalisation mixes images: set discriminator.batch_norm to false"
            )
