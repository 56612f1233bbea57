"""Runs an ONNX file in true FP16 arithmetic, node by node, and records how large values become.

Inference engines on a CPU compute an FP16 graph in wider types, in which nothing overflows.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from torch.nn import functional as F

__all__ = ["Peak", "run_in_half"]

Peak = tuple[str, float]
"""A convolution by its weights' name, and the largest magnitude of what goes in or comes out;
infinite for NaN too."""


def run_in_half(model: Path, batch: NDArray[Any]) -> tuple[list[NDArray[Any]], list[Peak]]:
    """The outputs of an FP16 file of ours for one input, and the peaks in order.

    The operators that are slow in onnx's reference evaluator are torch's here.
    """
    peaks: list[Peak] = []

    class Conv(OpRun):
        def _run(self, x: Any, w: Any, b: Any = None, **attributes: Any) -> tuple[Any]:
            top, left, bottom, right = attributes["pads"] or (0, 0, 0, 0)
            # On a CPU torch's contiguous half convolutions are ten times slower.
            image = F.pad(torch.from_numpy(x), (left, right, top, bottom))
            output = F.conv2d(
                image.to(memory_format=torch.channels_last),
                torch.tensor(w).to(memory_format=torch.channels_last),
                None if b is None else torch.tensor(b),
                stride=attributes["strides"] or 1,
                groups=attributes["group"] or 1,
            )
            largest = torch.maximum(image.abs().max(), output.abs().max()).nan_to_num(
                math.inf, posinf=math.inf
            )
            peaks.append((self.onnx_node.input[1].removesuffix(".weight"), largest.item()))
            return (output.numpy(),)

    class LeakyRelu(OpRun):
        def _run(self, x: Any, alpha: float) -> tuple[Any]:
            return (F.leaky_relu(torch.from_numpy(x), alpha).numpy(),)

    class Resize(OpRun):
        """By a whole factor, to the nearest: our networks have no other."""

        def _run(
            self, x: Any, roi: Any, scales: Any, sizes: Any = None, **attributes: Any
        ) -> tuple[Any]:
            factors = [int(scale) for scale in scales]
            return (x.repeat(factors[2], axis=2).repeat(factors[3], axis=3),)

    evaluator = ReferenceEvaluator(onnx.load(model), new_ops=[Conv, LeakyRelu, Resize])
    with np.errstate(all="ignore"):  # what overflows is in the peaks
        outputs: Any = evaluator.run(None, {"input": batch})
    return outputs, peaks
