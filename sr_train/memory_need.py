"""The least memory that a run needs, known before its networks are built."""

import torch
from torch import Tensor, nn

from sr_runtime.errors import OutOfMemoryError
from sr_runtime.memory.free import free_memory
from sr_train.config.schema import Config, GeneratorConfig, Stage
from sr_train.initial_generator import fresh_generator
from sr_train.models.rrdbnet import RRDBNet
from sr_train.precision import compute_dtype
from sr_train.stages import GanStage, build_discriminator

__all__ = ["check_memory_need", "generator_parameters"]

SIDE = 16
"""Height and width of the LR images on which kept values are counted."""
STATES = 4
"""Values of a parameter in training: itself, its gradient and Adam's two moments."""


def check_memory_need(config: Config, device: torch.device, *, processes: int = 1) -> None:
    """Raise OutOfMemoryError, with the numbers, for a run that cannot fit on the device.

    What is counted is the parameters, and what the generator keeps for its backward pass (of an
    RRDBNet the dense blocks): a run takes more. The networks of `init` are not known here.
    Processes on GPUs have one each, for their share of a mini-batch; those on a CPU share memory.
    """
    free = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else free_memory()
    if config.init is not None or free is None:
        return
    count = generator_parameters(config)
    values = count * (STATES + (config.ema_decay > 0))
    if GanStage.name in config.stage_names:
        with torch.device("meta"):
            critic = _count(build_discriminator(config))
        count, values = count + critic, values + critic * STATES
    width = compute_dtype(config.precision, device).itemsize
    pixels = max(_pixels(config, stage) for stage in config.stage_names)
    if device.type == "cuda":
        pixels //= processes
    needed = 4 * values + width * pixels * _kept_values(config)
    if needed > free:
        raise OutOfMemoryError(
            f"networks of {count:,} parameters and batch_size {config.batch_size} in "
            f"grad_accumulation {config.grad_accumulation} part(s) need at least "
            f"{needed / 1e9:,.1f} GB, and {free / 1e9:,.1f} GB can be had: use smaller networks, "
            "batches or crops, or more parts"
        )


def generator_parameters(config: Config) -> int:
    """The number of parameters of the generator, in no time however large it is."""
    if config.generator.kind == "rrdbnet":
        return _rrdbnet_parameters(config)
    with torch.device("meta"):
        return _count(fresh_generator(config))


def _rrdbnet_parameters(config: Config) -> int:
    """Computed, since building millions of blocks takes too long."""
    sizes = config.generator
    with torch.device("meta"):
        network = RRDBNet(
            scale_factor=config.scale_factor,
            img_channels=config.img_channels,
            rrdb_channels=sizes.rrdb_channels,
            num_basic_blocks=1,
            num_dense_blocks=1,
            num_residual_blocks=1,
            use_subpixel_conv=sizes.use_subpixel_conv,
        )
    blocks = sizes.num_basic_blocks * sizes.num_dense_blocks
    return _count(network) - _count(network.body) + blocks * _dense_block_parameters(sizes)


def _dense_block_parameters(sizes: GeneratorConfig) -> int:
    """Each 3×3 convolution but the last adds `growth` channels to the input of the next."""
    width, growth, early = sizes.rrdb_channels, sizes.growth_channels, sizes.num_residual_blocks - 1
    inputs = early * width + growth * early * (early - 1) // 2
    return growth * (9 * inputs + early) + width * (9 * (width + early * growth) + 1)


def _pixels(config: Config, stage: Stage) -> int:
    """LR pixels in one part of a mini-batch; 0 where whole images are taken one by one."""
    patch = config.section(stage).cr_patch_size
    if patch is None:
        return 0
    pixels = (patch[0] // config.scale_factor) * (patch[1] // config.scale_factor)
    return config.batch_size // config.grad_accumulation * pixels


def _kept_values(config: Config) -> int:
    """The values that the generator keeps of each LR pixel for its backward pass."""
    if config.generator.kind == "rrdbnet":
        return _kept_by_rrdbnet(config)
    if config.compile:
        return 0  # it may compute anew what it does not keep
    with torch.device("meta"):
        network = fresh_generator(config)
        images = torch.empty(2, config.img_channels, SIDE, SIDE)
    one, two = _kept_by(network, images[:1]), _kept_by(network, images)
    return (two - one) // SIDE**2  # without what is kept once, whatever the number of images


def _kept_by_rrdbnet(config: Config) -> int:
    """Computed too, and only of the dense blocks."""
    sizes = config.generator
    width, growth, early = sizes.rrdb_channels, sizes.growth_channels, sizes.num_residual_blocks - 1
    channels = width + early * growth
    if not config.compile:  # a compiled network need not keep the joined inputs of convolutions
        channels += early * width + growth * early * (early + 1) // 2
    return channels * sizes.num_basic_blocks * sizes.num_dense_blocks


def _kept_by(network: nn.Module, images: Tensor) -> int:
    """What a forward pass on the meta device would keep, without the parameters."""
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor  # alive, so that no other takes its place
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(images)
    for parameter in network.parameters():
        kept.pop(parameter.untyped_storage()._cdata, None)
    return sum(tensor.numel() for tensor in kept.values())


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
