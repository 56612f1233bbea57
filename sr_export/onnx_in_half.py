"""Runs an ONNX file in true FP16 arithmetic, node by node, and records how large values become.

Inference engines on a CPU compute an FP16 graph in wider types, in which nothing overflows.
"""

import math
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops import op_conv, op_conv_transpose, op_pad, op_resize
from torch.nn import functional as F

from sr_runtime.backends.out_of_memory import is_out_of_memory
from sr_runtime.backends.reason import first_line
from sr_runtime.errors import ModelError

__all__ = ["Peak", "run_in_half"]

# For what our networks do not have, and others do. Without types.
REFERENCE_CONV: Any = op_conv.Conv._run
REFERENCE_CONV_TRANSPOSE: Any = op_conv_transpose.ConvTranspose._run
REFERENCE_PAD: Any = op_pad.Pad_18._run
REFERENCE_RESIZE: Any = op_resize.Resize._run

Peak = tuple[str, float]
"""A convolution by its weights' name, and the largest magnitude of what goes in or comes out;
infinite for NaN too."""


def run_in_half(
    model: onnx.ModelProto, batch: NDArray[Any]
) -> tuple[list[NDArray[Any]], list[Peak]]:
    """The outputs of an FP16 file of ours for one input, and the peaks in order.

    The operators that are slow or incomplete in onnx's reference evaluator are torch's here.

    Raises ModelError for an operator that neither computes.
    """
    peaks: list[Peak] = []

    class Conv(OpRun):
        """Takes and returns half, and sums in fp32, as tensor cores do."""

        def _run(self, x: Any, w: Any, b: Any = None, **attributes: Any) -> tuple[Any]:
            pads = tuple(attributes["pads"] or (0, 0, 0, 0))
            transposed = self.onnx_node.op_type == "ConvTranspose"
            if len(pads) != 4 or pads[:2] != pads[2:]:
                reference = REFERENCE_CONV_TRANSPOSE if transposed else REFERENCE_CONV
                other: tuple[Any] = reference(self, x, w, b, **attributes)
                return other
            image = torch.from_numpy(x).float()
            others = {"output_padding": attributes["output_padding"] or 0} if transposed else {}
            output = (F.conv_transpose2d if transposed else F.conv2d)(
                image,
                torch.tensor(w).float(),
                None if b is None else torch.tensor(b).float(),
                stride=attributes["strides"] or 1,
                padding=pads[:2],
                dilation=attributes["dilations"] or 1,
                groups=attributes["group"] or 1,
                **others,
            )
            extremes = torch.stack([*image.aminmax(), *output.aminmax()])
            largest = extremes.abs().max().nan_to_num(math.inf, posinf=math.inf).item()
            peaks.append((self.onnx_node.input[1].removesuffix(".weight"), largest))
            return (output.half().numpy(),)

    class ConvTranspose(Conv):
        """Known by its node's type."""

    class LeakyRelu(OpRun):
        def _run(self, x: Any, alpha: float) -> tuple[Any]:
            return (F.leaky_relu(torch.from_numpy(x), alpha).numpy(),)

    class Resize(OpRun):
        """By a whole factor, to the nearest; rarely something else."""

        def _run(
            self, x: Any, roi: Any, scales: Any = None, sizes: Any = None, **attributes: Any
        ) -> tuple[Any]:
            if attributes["mode"] != "nearest" or scales is None or (scales % 1).any():
                other: tuple[Any] = REFERENCE_RESIZE(self, x, roi, scales, sizes, **attributes)
                return other
            factors = [int(scale) for scale in scales]
            return (x.repeat(factors[2], axis=2).repeat(factors[3], axis=3),)

    class Pad(OpRun):
        """With negative widths too, which cut."""

        def _run(self, data: Any, pads: Any, *others: Any, **attributes: Any) -> tuple[Any]:
            if (pads < 0).any() and len(pads) == 2 * data.ndim:
                cut, pads = np.minimum(pads, 0).reshape(2, -1), np.maximum(pads, 0)
                sides = zip(*cut, data.shape, strict=True)
                data = data[tuple(slice(-before, side + after) for before, after, side in sides)]
            padded: tuple[Any] = REFERENCE_PAD(self, data, pads, *others, **attributes)
            return padded

    class GridSample(OpRun):
        """Under each opset's names of the modes; the reference knows only those of opset 20."""

        def _run(
            self, x: Any, grid: Any, align_corners: int, mode: str, padding_mode: str
        ) -> tuple[Any]:
            output = F.grid_sample(
                torch.from_numpy(x).float(),
                torch.tensor(grid).float(),
                mode={"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode),
                padding_mode=padding_mode,
                align_corners=bool(align_corners),
            )
            return (output.half().numpy(),)

    evaluator = ReferenceEvaluator(
        model, new_ops=[Conv, ConvTranspose, GridSample, LeakyRelu, Pad, Resize]
    )
    try:
        with np.errstate(all="ignore"):  # what overflows is in the peaks
            outputs: Any = evaluator.run(None, {"input": batch})
    # Each operator raises what its code leads it to.
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"it cannot be checked in half precision, because onnx's reference does not compute it "
            f"({first_line(error)}): run the ONNX file in another backend"
        ) from error
    return outputs, peaks
