"""Traces one of many equal blocks, and repeats its nodes in the graph.

torch's exporter needs over half a second for each block of an RRDBNet, and after the first it has
nothing new to find.
"""

import copy
from collections.abc import Mapping

import onnx
import torch
from torch import Tensor, nn

from sr_export.node_names import modules_of

__all__ = ["keep_one_block", "repeat_block"]


def keep_one_block(module: nn.Module, name: str) -> None:
    """Remove all blocks of a sequence but the first, whose weights become random.

    The exporter looks at values too: it leaves a bias of zeros out, and those of the other blocks
    may differ.
    """
    blocks = module.get_submodule(name)
    assert isinstance(blocks, nn.Sequential)
    del blocks[1:]
    blocks[0] = copy.deepcopy(blocks[0])  # the caller still needs the weights
    random = torch.Generator().manual_seed(0)
    for weights in blocks.parameters():
        nn.init.normal_(weights, generator=random)


def repeat_block(model: onnx.ModelProto, name: str, weights: Mapping[str, Tensor]) -> None:
    """Put the whole sequence in the place of its first block.

    Args:
        model: As torch exported it, with its nodes named.
        name: Of the nn.Sequential in the exported module.
        weights: What `state_dict` of that module returned when it had every block.
    """
    graph = model.graph
    first = f"{name}.0"
    block = [node for node in graph.node if first in modules_of(node)]
    others = [node for node in graph.node if first not in modules_of(node)]
    begin = next(i for i, node in enumerate(graph.node) if first in modules_of(node))

    written = {value for node in block for value in node.output if value}
    read = {value for node in block for value in node.input if value}
    stored = {tensor.name for tensor in graph.initializer}
    (entry,) = read - written - stored
    (result,) = written & {value for node in others for value in node.input}
    suffixes = [key.removeprefix(first) for key in weights if key.startswith(f"{first}.")]
    assert read >= {first + suffix for suffix in suffixes}, "weights were folded into others"

    count = sum(key.startswith(f"{name}.") for key in weights) // len(suffixes)
    nodes: list[onnx.NodeProto] = []
    tensors = [tensor for tensor in graph.initializer if not tensor.name.startswith(f"{first}.")]
    before = entry
    for k in range(count):
        renamed = {value: f"{value}.{k}" for value in written}
        renamed |= {first + suffix: f"{name}.{k}{suffix}" for suffix in suffixes}
        renamed[entry] = before
        if k == count - 1:
            renamed[result] = result
        before = renamed[result]
        for node in block:
            nodes.append(copy.deepcopy(node))
            nodes[-1].name = node.name.replace(first, f"{name}.{k}", 1)
            nodes[-1].input[:] = [renamed.get(value, value) for value in node.input]
            nodes[-1].output[:] = [renamed.get(value, value) for value in node.output]
        for suffix in suffixes:
            key = f"{name}.{k}{suffix}"
            tensors.append(onnx.numpy_helper.from_array(weights[key].numpy(), key))
    del graph.node[:], graph.initializer[:]
    graph.node.extend([*others[:begin], *nodes, *others[begin:]])
    graph.initializer.extend(tensors)
