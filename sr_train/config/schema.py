"""Everything a training run is told: the hyper-parameters by their documented names.

Nested frozen dataclasses; `sr_train.config.file` reads them from YAML, JSON and the command line.
Whatever can be known to be wrong from the values alone is refused here, on construction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from sr_train.config.checks import check_config

__all__ = [
    "AdversarialLoss",
    "Augmentation",
    "Config",
    "ContentLoss",
    "DiscriminatorConfig",
    "GeneratorConfig",
    "PerceptualLoss",
    "Pretraining",
    "Stage",
    "Training",
    "Validation",
    "Wandb",
]

Stage = Literal["pretraining", "training"]


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """Stage 1: the generator alone, for the smallest content loss."""

    num_epoch: int = 10_000
    """Epochs; one is a crop from every training image."""
    cr_patch_size: tuple[int, int] | None = (128, 128)
    """Height and width of the HR crops; null: whole images, one a mini-batch."""
    lr: float = 2e-4
    """Learning rate of Adam."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Adam's decay of the first and second moments."""
    sched_step: int = 200_000
    """Mini-batches after which the learning rate is multiplied by sched_gamma, again and again."""
    sched_gamma: float = 0.5
    """Factor of the learning rate."""
    train_datasets: tuple[str, ...] = ("div2k",)
    """Prepared data sets; `name:split+split` for other splits than the one for training."""
    val_datasets: tuple[str, ...] = ("bsds500",)
    """Prepared data sets; `name:split+split` for other splits than the one for validation."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """Stage 2: generator against discriminator."""

    num_epoch: int = 8_000
    """Epochs; one is a crop from every training image."""
    cr_patch_size: tuple[int, int] | None = (128, 128)
    """Height and width of the HR crops; null: whole images, one a mini-batch."""
    g_lr: float = 1e-4
    """Learning rate of the generator."""
    d_lr: float = 1e-4
    """Learning rate of the discriminator."""
    betas: tuple[float, float] = (0.9, 0.99)
    """Adam's decay of the first and second moments, for both networks."""
    g_sched_steps: tuple[int, ...] = (50_000, 100_000, 200_000, 300_000)
    """Mini-batches after which the generator's learning rate is multiplied by g_sched_gamma."""
    g_sched_gamma: float = 0.5
    """Factor of the generator's learning rate."""
    d_sched_steps: tuple[int, ...] = (50_000, 100_000, 200_000, 300_000)
    """Mini-batches after which the discriminator's learning rate is multiplied by d_sched_gamma."""
    d_sched_gamma: float = 0.5
    """Factor of the discriminator's learning rate."""
    g_adversarial_loss_scaling: float = 0.005
    """λ of the generator's loss: perceptual + λ·adversarial + η·content."""
    g_content_loss_scaling: float = 0.01
    """η of the generator's loss."""
    train_datasets: tuple[str, ...] = ("div2k",)
    """Prepared data sets; `name:split+split` for other splits than the one for training."""
    val_datasets: tuple[str, ...] = ("bsds500",)
    """Prepared data sets; `name:split+split` for other splits than the one for validation."""


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """The RRDBNet to be trained. With `init` the checkpoint's architecture is taken instead."""

    rrdb_channels: int = 64
    """Channels of the trunk."""
    growth_channels: int = 32
    """Channels that each convolution of a dense block adds."""
    num_basic_blocks: int = 16
    """Residual-in-residual dense blocks."""
    num_dense_blocks: int = 3
    """Dense blocks in each of them."""
    num_residual_blocks: int = 5
    """Convolutions in a dense block."""
    residual_scaling: float = 0.2
    """β, the weight of every residual."""
    use_subpixel_conv: bool = False
    """Upsample by pixel-shuffle instead of nearest neighbour and convolution."""


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """The network that tells HR from SR in stage 2."""

    type: Literal["vgg", "unet"] = "vgg"
    """SRGAN's VGG style, one logit an image; or a U-Net with spectral norm, one logit a pixel."""
    vgg_blk_ch: tuple[int, ...] = (64, 64, 128, 128, 256, 256, 512, 512)
    """Channels of the VGG style's convolutions; the second of two equal ones has stride 2."""
    fc_features: tuple[int, ...] = (100,)
    """Widths of its hidden fully connected layers."""
    batch_norm: bool = True
    """Whether the VGG style normalises its batches; wgan-gp needs false."""
    unet_channels: int = 64
    """Channels of the U-Net at full resolution."""


@dataclass(frozen=True, kw_only=True)
class ContentLoss:
    """Distance of pixels."""

    loss_f: Literal["l1", "l2", "mse"] = "l1"
    """Mean absolute difference, or mean squared difference (l2 and mse are the same)."""


@dataclass(frozen=True, kw_only=True)
class PerceptualLoss:
    """Distance of features of a network that was trained to classify ImageNet."""

    layer_weights: Mapping[str, float] = field(default_factory=lambda: {"conv5_4": 1.0})
    """Weight of each layer: conv1_1 … conv5_4, before activation; fire2 … fire9 of SqueezeNet."""
    vgg_type: Literal["vgg11", "vgg13", "vgg16", "vgg19", "squeezenet1_1"] = "vgg19"
    """The network."""
    criterion: Literal["l1", "l2"] = "l1"
    """Mean absolute or mean squared difference of features."""
    normalize_input: bool = True
    """Whether images are normalised by ImageNet's mean and standard deviation."""
    normalize_loss: bool = False
    """Whether the sum over layers is divided by the sum of their weights."""
    random_view: bool = False
    """Whether features are compared of crops shifted and turned at random, both alike."""
    weights: str | None = None
    """File of the network's weights; null: looked for in DATA_ROOT/weights, then downloaded."""


@dataclass(frozen=True, kw_only=True)
class AdversarialLoss:
    """What generator and discriminator tell each other."""

    type: Literal["ragan", "vanilla", "lsgan", "hinge", "wgan", "wgan-gp"] = "ragan"
    """Relativistic average GAN (ESRGAN's), or one of its predecessors."""
    wgan_clip: float = 0.01
    """wgan: bound of the discriminator's weights."""
    gp_weight: float = 10.0
    """wgan-gp: weight of the gradient penalty."""
    n_critic: int = 5
    """wgan and wgan-gp: discriminator steps for each of the generator's."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes of training crops."""

    symmetry: Literal["flip_or_transpose", "d4"] = "flip_or_transpose"
    """One of flip and transpose, with a probability; or any of the square's eight symmetries."""
    probability: float = 0.5
    """flip_or_transpose: probability of either."""
    flip_weight: float = 0.25
    """flip_or_transpose: weight of a flip (horizontal, vertical or both, equally likely)."""
    transpose_weight: float = 0.75
    """flip_or_transpose: weight of a transpose."""
    compression: float = 0.25
    """Probability that pretraining compresses an LR crop (JPEG)."""
    jpeg_quality: tuple[int, int] = (60, 95)
    """Least and greatest quality of that compression."""
    coarse_dropout: float = 0.25
    """Probability that pretraining blanks rectangles of an LR crop."""
    dropout_holes: tuple[int, int] = (1, 4)
    """Least and greatest number of these rectangles."""
    dropout_hole_size: tuple[float, float] = (0.0625, 0.125)
    """Least and greatest side of each, as a fraction of the crop's."""


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Measuring on whole images."""

    every_epochs: int = 100
    """Epochs between validations; the end of a stage always validates."""
    samples: int = 4
    """How many of the images are shown, as LR | bicubic | SR | HR."""
    lpips_weights: str | None = None
    """File of LPIPS's linear heads; null: looked for in DATA_ROOT/weights, then downloaded."""
    squeezenet_weights: str | None = None
    """File of LPIPS's SqueezeNet 1.1; null: as above."""


@dataclass(frozen=True, kw_only=True)
class Wandb:
    """Weights & Biases; off unless a project is named."""

    project: str | None = None
    """Name of the project; null: off."""
    entity: str | None = None
    """User or team; null: the default one of whoever is logged in."""
    mode: Literal["online", "offline"] = "online"
    """offline writes to the run's folder, for a later `wandb sync`."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """A training run."""

    stages: Literal["pretraining,training", "pretraining", "training"] = "pretraining,training"
    """Which of the two stages to run."""
    init: str | None = None
    """Checkpoint of a generator, anyone's, that the first of these stages starts from."""
    seed: int = 0
    """Of initial weights, crops and augmentation."""
    data_root: str = "data"
    """Where `prepare --root` put the data sets; `evaluate --root` is the same folder."""
    scale_factor: int = 4
    """How much larger the output is."""
    batch_size: int = 16
    """Crops in a mini-batch, over all GPUs and all accumulated parts."""
    img_channels: int = 3
    """3 for RGB, 1 for gray."""
    device: str = "auto"
    """auto (cuda where there is one), cpu, cuda or cuda:N."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of the networks' arithmetic; weights stay fp32. auto: bf16 where it is native, else fp32."""
    channels_last: bool = True
    """Keep tensors in the channels-last memory format, which is faster on most devices."""
    compile: bool = False
    """Compile the networks with torch.compile."""
    deterministic: bool = False
    """Only algorithms that give the same result every time, also on GPUs."""
    grad_accumulation: int = 1
    """Parts in which each mini-batch goes through the networks, one after the other."""
    grad_clip: float | None = None
    """Largest norm of each network's gradient, to which larger ones are clipped; null: off."""
    ema_decay: float = 0.999
    """Of the moving average of the generator's weights, which is validated and saved; 0: off."""
    warmup_steps: int = 0
    """Mini-batches at the start of each stage in which learning rates grow from 0."""
    max_skipped_steps: int = 20
    """Steps with NaN or infinite gradients that may follow one another before training stops."""
    workers: int = 2
    """Processes that load data; 0: the training process itself."""
    log_every: int = 100
    """Mini-batches between rows of metrics."""
    save_every: int = 1000
    """Mini-batches between savings of the state."""
    interpolation_alpha: float = 0.8
    """weights/interpolated is (1 − α)·PSNR + α·GAN."""
    pretraining: Pretraining = field(default_factory=Pretraining)
    training: Training = field(default_factory=Training)
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    content_loss: ContentLoss = field(default_factory=ContentLoss)
    perceptual_loss: PerceptualLoss = field(default_factory=PerceptualLoss)
    adversarial_loss: AdversarialLoss = field(default_factory=AdversarialLoss)
    augmentation: Augmentation = field(default_factory=Augmentation)
    validation: Validation = field(default_factory=Validation)
    wandb: Wandb = field(default_factory=Wandb)

    def __post_init__(self) -> None:
        """Raise ArgumentError for what cannot be."""
        check_config(self)

    @property
    def stage_names(self) -> tuple[Stage, ...]:
        """The stages to run, in order."""
        names: tuple[Stage, ...] = ("pretraining", "training")
        return tuple(name for name in names if name in self.stages.split(","))

    def section(self, stage: Stage) -> Pretraining | Training:
        """What the stage was told."""
        return self.pretraining if stage == "pretraining" else self.training
