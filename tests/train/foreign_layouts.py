"""The names that other trainers give an RRDBNet's tensors, and the check of what is loaded."""

import re
from collections.abc import Callable

import torch
from torch import Tensor

from sr_train.models.generator import Generator
from sr_train.models.rrdbnet import RRDBNet

DENSE = re.compile(r"body\.(\d+)\.rdb(\d+)\.conv(\d+)(?=\.)")
PLUS = re.compile(r"body\.(\d+)\.rdb(\d+)\.conv1x1")  # of ESRGAN+


def xinntao(name: str, blocks: int, stages: int) -> str:
    name = PLUS.sub(r"RRDB_trunk.\1.RDB\2.conv1x1", name)
    name = DENSE.sub(r"RRDB_trunk.\1.RDB\2.conv\3", name)
    return (
        name.replace("conv_body", "trunk_conv")
        .replace("conv_up", "upconv")
        .replace("conv_hr", "HRconv")
    )


def old_arch(name: str, blocks: int, stages: int, *, first_up: int = 3) -> str:
    places = {"first": "0", "body": f"1.sub.{blocks}"}
    places |= {"hr": str(3 * stages + 2), "last": str(3 * stages + 4)}
    places |= {f"up{k}": str(3 * (k - 1) + first_up) for k in range(1, stages + 1)}
    name = PLUS.sub(r"model.1.sub.\1.RDB\2.conv1x1", name)
    name = DENSE.sub(r"model.1.sub.\1.RDB\2.conv\3.0", name)
    return re.sub(r"conv_(\w+)", lambda m: f"model.{places[m[1]]}", name)


def old_arch_shuffled(name: str, blocks: int, stages: int) -> str:
    """A pixel-shuffle comes after its convolution; nearest-neighbour enlargement comes before."""
    return old_arch(name, blocks, stages, first_up=2)


def lornatang(name: str, blocks: int, stages: int) -> str:
    name = DENSE.sub(r"trunk.\1.rdb\2.conv\3", name)
    name = re.sub(r"conv_up(\d+)", r"upsampling\1.0", name)
    heads = {"conv_first": "conv1", "conv_body": "conv2", "conv_hr": "conv3.0"}
    return re.sub(r"conv_\w+", lambda m: heads.get(m[0], "conv4"), name)


def torch_sr(name: str, blocks: int, stages: int) -> str:
    def dense(m: re.Match[str]) -> str:
        rdb, conv = int(m[2]) - 1, int(m[3]) - 1
        return f"rrdb_blocks.rrdb_{m[1]}.dense_blocks.rdb_{rdb}.blocks.{conv}.conv"

    def up(m: re.Match[str]) -> str:
        return f"upsampling_blocks.upsampling_{int(m[1]) - 1}.block.conv"

    name = re.sub(r"conv_up(\d+)", up, DENSE.sub(dense, name))
    name = name.replace("conv_first", "in_conv").replace("conv_body", "rrdb_blocks.out_conv")
    name = name.replace("conv_hr", "upsampling_blocks.out_conv.0")
    return name.replace("conv_last", "upsampling_blocks.out_conv.2")


def basicsr(name: str, blocks: int, stages: int) -> str:
    return name


RENAMINGS = [basicsr, xinntao, old_arch, old_arch_shuffled, lornatang, torch_sr]


def renamed(
    network: RRDBNet, renaming: Callable[[str, int, int], str], scaling: float = 0.2
) -> dict[str, Tensor]:
    """The state dict as a trainer of that layout saves it."""
    blocks, stages = network.architecture["num_basic_blocks"], len(network.stages)
    state = {renaming(k, blocks, stages): v for k, v in network.state_dict().items()}
    if renaming is torch_sr:
        for i in range(blocks):
            state[f"rrdb_blocks.rrdb_{i}.residual_scaling"] = torch.tensor(scaling)
            for j in range(network.architecture["num_dense_blocks"]):
                name = f"rrdb_blocks.rrdb_{i}.dense_blocks.rdb_{j}.residual_scaling"
                state[name] = torch.tensor(scaling)
    return state


def assert_same(loaded: Generator, original: Generator) -> None:
    """The two have one architecture and compute the same to the bit."""
    image = torch.rand(1, original.in_channels, 8, 12)
    assert type(loaded) is type(original)
    assert loaded.architecture == original.architecture
    assert not loaded.training
    assert torch.equal(loaded(image), original(image))
