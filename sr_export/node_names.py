"""Names the nodes of an exported graph by the modules that they come from.

`body.3.conv2/conv2d_7/Conv` is the operator Conv, for PyTorch's operator conv2d_7, in body.3.conv2.
Engines name nodes in their messages and profiles, and the parity gate names the one that differs.
"""

import ast
from collections import Counter

import onnx

__all__ = ["modules_of", "name_nodes"]

# Under this key torch's exporter lists the modules that a node belongs to, the outermost first, and
# then the operator of PyTorch.
SCOPES = "pkg.torch.onnx.name_scopes"
# The exporter writes this as the module of what it computes itself.
NO_MODULE = "_empty_nn_module_stack_from_metadata_hook"


def name_nodes(model: onnx.ModelProto) -> None:
    """Give every node a name of its own."""
    seen: Counter[str] = Counter()
    for node in model.graph.node:
        name = "/".join([*_scopes(node)[-2:], node.op_type])
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}_{seen[name]}"


def modules_of(node: onnx.NodeProto) -> list[str]:
    """The modules that a node belongs to, as the exported module names them."""
    return _scopes(node)[:-1]


def _scopes(node: onnx.NodeProto) -> list[str]:
    listed = (each.value for each in node.metadata_props if each.key == SCOPES)
    return [each for each in ast.literal_eval(next(listed, "[]")) if each not in ("", NO_MODULE)]
