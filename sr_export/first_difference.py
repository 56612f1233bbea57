"""Finds the operator at which an ONNX file begins to differ from PyTorch.

The network runs as it is, untraced, and a sample of whatever its operators return is kept. The
file's nodes run one by one, and each result is looked for among PyTorch's. Names play no part: a
trace gives its own, and may have lost an operator altogether.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["ROUNDING", "first_difference"]

SAMPLE = 1 << 15
"""How many values of each result are compared, which bounds the memory."""
ROUNDING = 3e-5
"""What equal results may differ by, as a share of the largest value. RRDB-23 differs by 5e-6."""


def first_difference(
    network: nn.Module, model: onnx.ModelProto, batch: NDArray[Any]
) -> tuple[str, float] | None:
    """The name of the node, and the least by which it differs from all that PyTorch computed.

    None if there is no such node: each one alone computes what PyTorch does.

    Args:
        network: What was exported, from and to the file's own types and layouts.
        model: Its input is "input", and its first output "output".
        batch: The input of both.
    """
    with torch.inference_mode(), _Recorder() as recorded:
        network(torch.from_numpy(batch.copy()))  # some networks write into their input
    nodes = model.graph.node
    left = Counter(name for node in nodes for name in node.input)
    values = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    values["input"] = batch
    # Each value that depends on the pixels, with the number of PyTorch's last result before it.
    reached = {"input": -1}
    rounded: set[str] = set()
    differs: dict[str, float] = {}
    for node in nodes:
        results = _run(node, {name: values[name] for name in node.input if name}, model)
        # To one of two neighbours, where a value is between them.
        if node.op_type == "Round" or (
            node.op_type in ("Cast", "Transpose") and rounded.intersection(node.input)
        ):
            rounded.update(node.output)
        before = [reached[name] for name in node.input if name in reached]
        for name, value in zip(node.output, results, strict=True):
            values[name] = value
            if before and node.op_type not in ("Shape", "Size"):
                reached[name], differs[name] = recorded.find(
                    value, after=max(before), limit=1 if name in rounded else None
                )
        for name in node.input:
            left[name] -= 1
            if not left[name]:
                values.pop(name, None)
    # From the output back through what PyTorch has not computed: the fault is at the other end.
    first, suspects = None, {"output"}
    for node in reversed(nodes):
        for name in suspects.intersection(node.output):
            if differs.get(name):
                first = node.name or node.op_type, differs[name]
                suspects.update(node.input)
    return first


def _run(
    node: onnx.NodeProto, inputs: Mapping[str, NDArray[Any]], model: onnx.ModelProto
) -> list[NDArray[Any]]:
    """The outputs of a node alone, which no engine can then join with others."""
    import onnxruntime

    helper = onnx.helper
    types = {name: helper.np_dtype_to_tensor_dtype(each.dtype) for name, each in inputs.items()}
    graph = helper.make_graph(
        [node],
        "node",
        [helper.make_tensor_value_info(name, types[name], inputs[name].shape) for name in inputs],
        [onnx.ValueInfoProto(name=name) for name in node.output],
    )
    alone = helper.make_model(
        graph, opset_imports=model.opset_import, ir_version=model.ir_version
    ).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1  # starting threads takes longer than most nodes
    session = onnxruntime.InferenceSession(alone, options, providers=["CPUExecutionProvider"])
    outputs: list[NDArray[Any]] = session.run(None, inputs)
    return outputs


class _Recorder(TorchDispatchMode):
    """Keeps a sample of everything that PyTorch's operators return, in order."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._results: dict[tuple[int, ...], list[tuple[int, NDArray[np.float32]]]] = {}
        self._count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        returned = func(*args, **kwargs or {})
        for each in tree_leaves(returned):
            if isinstance(each, Tensor) and each.numel():
                alike = self._results.setdefault(tuple(each.shape), [])
                alike.append((self._count, _sample(each)))
                self._count += 1
        return returned

    def find(self, value: NDArray[Any], *, after: int, limit: float | None) -> tuple[int, float]:
        """The number of the first result after another that equals a value, and 0; or else
        `after`, and the least difference."""
        sample = _sample(torch.from_numpy(value))
        if limit is None:
            limit = ROUNDING * float(np.abs(sample).max(initial=0))
        least = math.inf
        for number, result in self._results.get(value.shape, ()):
            if number > after:
                least = min(least, float(np.abs(result - sample).max()))
                if least <= limit:
                    return number, 0.0
        return after, least


def _sample(tensor: Tensor) -> NDArray[np.float32]:
    values = tensor.reshape(-1)
    if len(values) > SAMPLE:
        chosen = np.random.default_rng(0).integers(len(values), size=SAMPLE)
        values = values[torch.from_numpy(chosen)]
    return values.to(torch.float32, copy=True).numpy()
