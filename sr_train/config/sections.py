"""The sections of a training run's configuration.

The string below a field is its help; `limits` has the types with the values they allow.
"""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from sr_train.config import limits
from sr_train.config.degradation import DegradationName
from sr_train.config.limits import Count, Datasets, Decay, Factor, Fraction, Positive, Weight
from sr_train.network_facts import UNET_STRIDE

__all__ = [
    "AdversarialLoss", "Augmentation", "ContentLoss", "DiscriminatorConfig", "GeneratorConfig",
    "GeneratorType", "PerceptualLoss", "Pretraining", "Schedule", "Training", "Validation", "Wandb",
]  # fmt: skip

GeneratorType = Literal["rrdbnet", "compact", "span", "realplksr"]
Schedule = Literal["step", "linear", "cosine", "constant"]
FeatureNetworkType = Literal["vgg11", "vgg13", "vgg16", "vgg19", "squeezenet1_1", "vgg16_st_lpips"]


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """The PSNR stage: the generator alone minimises the content loss."""

    num_epoch: Count | None = 10_000
    """Number of epochs, each with one crop from every training image; or else num_steps."""
    num_steps: Count | None = None
    """Number of mini-batches, in place of num_epoch."""
    cr_patch_size: tuple[Count, Count] | None = (128, 128)
    """Height and width of the HR crops in pixels; null takes whole images, one per mini-batch."""
    optimizer: Literal["adam", "schedule_free"] = "adam"
    """Adam, or schedule-free AdamW, whose own average of the weights replaces that of ema_decay."""
    lr: Positive = 2e-4
    """Learning rate."""
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    """Adam's decay rates for the first and second moments."""
    schedule: Schedule = "step"
    """Fall of the learning rate: by sched_step, or over the whole stage to a hundredth, or none."""
    sched_step: Count = 200_000
    """step: mini-batches between multiplications of the learning rate by sched_gamma."""
    sched_gamma: Factor = 0.5
    """step: factor by which the learning rate is multiplied."""
    train_datasets: Datasets = ("div2k",)
    """Prepared data sets; `name:split+split` selects splits other than the one for training."""
    val_datasets: Datasets = ("bsds500",)
    """Prepared data sets; `name:split+split` selects splits other than the one for validation."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """The GAN stage: the generator is trained against a discriminator."""

    num_epoch: Count | None = 8_000
    """Number of epochs, each with one crop from every training image; or else num_steps."""
    num_steps: Count | None = None
    """Number of mini-batches, in place of num_epoch."""
    cr_patch_size: tuple[Count, Count] | None = (128, 128)
    """Height and width of the HR crops in pixels; null takes whole images, one per mini-batch."""
    optimizer: Literal["adam", "schedule_free"] = "adam"
    """The generator's: Adam, or schedule-free AdamW, whose average replaces that of ema_decay."""
    g_lr: Positive = 1e-4
    """Learning rate of the generator."""
    d_lr: Positive = 1e-4
    """Learning rate of the discriminator."""
    betas: tuple[Decay, Decay] = (0.9, 0.99)
    """Adam's decay rates for the first and second moments, in both networks."""
    schedule: Schedule = "step"
    """Fall of both rates: at …_sched_steps, or over the whole stage to a hundredth, or none."""
    g_sched_steps: limits.Steps = (50_000, 100_000, 200_000, 300_000)
    """step: mini-batches after which the generator's rate is multiplied by g_sched_gamma."""
    g_sched_gamma: Factor = 0.5
    """step: factor by which the generator's rate is multiplied."""
    d_sched_steps: limits.Steps = (50_000, 100_000, 200_000, 300_000)
    """step: mini-batches after which the discriminator's rate is multiplied by d_sched_gamma."""
    d_sched_gamma: Factor = 0.5
    """step: factor by which the discriminator's rate is multiplied."""
    g_adversarial_loss_scaling: Weight = 0.005
    """λ in the generator's loss, perceptual + λ·adversarial + η·content."""
    g_content_loss_scaling: Weight = 0.01
    """η in the generator's loss."""
    train_datasets: Datasets = ("div2k",)
    """Prepared data sets; `name:split+split` selects splits other than the one for training."""
    val_datasets: Datasets = ("bsds500",)
    """Prepared data sets; `name:split+split` selects splits other than the one for validation."""


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """The network to train; with `init` it is that of the checkpoint."""

    type: GeneratorType | None = None
    """ESRGAN's RRDBNet, Real-ESRGAN's SRVGGNetCompact, SPAN, or RealPLKSR with layer norm; null:
    that of `init`, or else rrdbnet."""
    rrdb_channels: Count = 64
    """rrdbnet: channels of the trunk."""
    growth_channels: Count = 32
    """rrdbnet: channels that each convolution of a dense block adds."""
    num_basic_blocks: Count = 16
    """rrdbnet: number of residual-in-residual dense blocks (RRDBs)."""
    num_dense_blocks: Count = 3
    """rrdbnet: number of dense blocks in an RRDB."""
    num_residual_blocks: Count = 5
    """rrdbnet: number of convolutions in a dense block."""
    residual_scaling: Factor = 0.2
    """rrdbnet: β, the factor of every residual before it is added."""
    use_subpixel_conv: bool = False
    """rrdbnet: upsample by pixel shuffle instead of nearest neighbours and a convolution."""
    compact_channels: Count = 64
    """compact: channels of the convolutions."""
    compact_convolutions: limits.Depth = 16
    """compact: number of convolutions between the first and the last."""
    span_channels: Count = 48
    """span: channels of the six blocks."""
    realplksr_channels: limits.FourOrMore = 64
    """realplksr: channels of the blocks, of which the large kernel sees a quarter."""
    realplksr_blocks: limits.Depth = 28
    """realplksr: number of blocks."""
    realplksr_kernel_size: limits.OddCount = 17
    """realplksr: height and width of the large kernel."""

    @property
    def kind(self) -> GeneratorType:
        """The type of a network that begins anew."""
        return self.type or "rrdbnet"


@dataclass(frozen=True, kw_only=True)
class DiscriminatorConfig:
    """The network that learns to distinguish HR from SR images in the GAN stage."""

    type: Literal["vgg", "unet"] = "vgg"
    """SRGAN's VGG style, one logit per image, or a spectral-norm U-Net, one logit per pixel."""
    vgg_blk_ch: limits.Channels = (64, 64, 128, 128, 256, 256, 512, 512)
    """vgg: channels of the convolutions; the second of two equal neighbours has stride 2."""
    fc_features: tuple[Count, ...] = (100,)
    """vgg: widths of the hidden fully connected layers."""
    batch_norm: bool = True
    """vgg: use batch normalisation; wgan-gp needs false."""
    unet_channels: Count = 64
    """unet: channels at full resolution."""

    @property
    def stride(self) -> int:
        """Height and width of the crops must be multiples of it."""
        halvings = sum(a == b for a, b in pairwise(self.vgg_blk_ch))
        return UNET_STRIDE if self.type == "unet" else 2**halvings


@dataclass(frozen=True, kw_only=True)
class ContentLoss:
    """The distance between the pixels of SR and HR."""

    loss_f: Literal["l1", "l2", "mse"] = "l1"
    """Mean absolute difference (l1), or mean squared difference (l2 and mse are the same)."""


@dataclass(frozen=True, kw_only=True)
class PerceptualLoss:
    """The distance between features of SR and HR in a network trained on ImageNet."""

    layer_weights: limits.LayerWeights = field(default_factory=lambda: {"conv5_4": 1.0})
    """Weight of each layer: conv1_1 to conv5_4, SqueezeNet's fire2 to 9, ST-LPIPS's relu1 to 5."""
    vgg_type: FeatureNetworkType = "vgg19"
    """The network that computes the features; vgg16_st_lpips is that of ST-LPIPS."""
    criterion: Literal["l1", "l2"] = "l1"
    """Mean absolute difference (l1) or mean squared difference (l2) of features."""
    normalize_input: bool = True
    """Normalise images by ImageNet's mean and standard deviation."""
    normalize_loss: bool = False
    """Divide the sum over layers by the sum of their weights."""
    random_view: bool = False
    """Shift and turn SR and HR alike, at random, before features are compared."""
    weights: limits.Name | None = None
    """File of the network's weights; null looks in DATA_ROOT/weights, then downloads them, or takes
    those of ST-LPIPS from the extra judge."""


@dataclass(frozen=True, kw_only=True)
class AdversarialLoss:
    """The loss between generator and discriminator."""

    type: Literal["ragan", "vanilla", "lsgan", "hinge", "wgan", "wgan-gp"] = "ragan"
    """Relativistic average GAN (ragan, as ESRGAN), or one of its predecessors."""
    wgan_clip: Positive = 0.01
    """wgan: largest absolute value of the discriminator's weights."""
    gp_weight: Positive = 10.0
    """wgan-gp: weight of the gradient penalty."""
    n_critic: Count = 5
    """wgan and wgan-gp: discriminator steps per generator step."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes to training crops."""

    symmetry: Literal["flip_or_transpose", "d4"] = "flip_or_transpose"
    """A flip or a transpose with some probability, or one of the square's eight symmetries (d4)."""
    probability: Fraction = 0.5
    """flip_or_transpose: probability that a crop is flipped or transposed."""
    flip_weight: Weight = 0.25
    """flip_or_transpose: weight of a flip (horizontal, vertical or both, equally likely)."""
    transpose_weight: Weight = 0.75
    """flip_or_transpose: weight of a transpose."""
    compression: Fraction = 0.25
    """Probability that pretraining compresses an LR crop as JPEG."""
    jpeg_quality: limits.QualityRange = (60, 95)
    """Smallest and largest JPEG quality of that compression."""
    coarse_dropout: Fraction = 0.25
    """Probability that pretraining blanks rectangles of an LR crop."""
    dropout_holes: limits.CountRange = (1, 4)
    """Smallest and largest number of these rectangles."""
    dropout_hole_size: limits.FactorRange = (0.0625, 0.125)
    """Smallest and largest side of a rectangle, as a fraction of the crop's side."""

    @property
    def transposes(self) -> bool:
        """Whether crops may be transposed, so that they must be square."""
        return self.symmetry == "d4" or (self.probability > 0 and self.transpose_weight > 0)


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Measurements on whole images."""

    every_epochs: Count | None = 100
    """Epochs between validations, or else every_steps; the end of a stage always validates."""
    every_steps: Count | None = None
    """Mini-batches between validations, in place of every_epochs."""
    degradation: DegradationName | None = None
    """Degrade LR as `evaluate --degrade` does, with seed 0; null keeps the prepared, clean one."""
    samples: limits.CountOrZero = 4
    """Number of images shown side by side as LR | bicubic | SR | HR."""
    lpips_weights: limits.Name | None = None
    """File of LPIPS's linear heads; null looks in DATA_ROOT/weights, then downloads them."""
    squeezenet_weights: limits.Name | None = None
    """File of LPIPS's SqueezeNet 1.1; null looks in DATA_ROOT/weights, then downloads it."""


@dataclass(frozen=True, kw_only=True)
class Wandb:
    """Weights & Biases, which is off unless a project is named."""

    project: limits.Name | None = None
    """Name of the project; null turns Weights & Biases off."""
    entity: limits.Name | None = None
    """User or team; null takes the default of the logged-in user."""
    mode: Literal["online", "offline"] = "online"
    """Upload during training, or write to the run's folder for a later `wandb sync`."""
