"""In which precision the convolutions of an engine came out, as its inspector tells."""

import json
import re
from typing import Any

from sr_runtime.backends.onnx_metadata import EXPORT_FP16
from sr_runtime.errors import BackendError

__all__ = ["check_convolutions"]

UNTOLD = (
    "TensorRT does not tell the precisions of the engine, so it was not kept: try another version "
    "of TensorRT, and please report it"
)

# As formats, types of weights, and names of kernels (a convolution's tactic) tell it.
FP16 = re.compile(r"\bhalf\b|fp16|f16f16|h884|h1688|h16816", re.IGNORECASE)
OTHER = re.compile(r"\bfloat\b|fp32|bf16|bfloat16|\bint8\b|fp8|f32f32", re.IGNORECASE)
# "CaskConvolution", "Deconvolution", "CaskGemmConvolution", but no conversion of types.
CONVOLUTION = re.compile(r"conv(?!er)", re.IGNORECASE)


def check_convolutions(inspected: str) -> None:
    """Raise BackendError unless the convolutions compute in FP16.

    Args:
        inspected: The engine's information in JSON, of a build with detailed profiling verbosity,
            and of a context that has its shapes: without them TensorRT tells no formats. It
            documents no schema; the fields read here are alike in 10 and 11.
    """
    try:
        layers: list[Any] = json.loads(inspected)["Layers"]
    except (ValueError, KeyError, TypeError) as error:
        raise BackendError(UNTOLD) from error
    details = [layer for layer in layers if isinstance(layer, dict)]
    convolutions = [layer for layer in details if _is_convolution(layer)]
    # Where the compiler fused them into kernels of its own no layer bears such a name.
    judged = convolutions or details
    fp16 = [layer for layer in judged if _is_fp16(layer)]
    other = [layer for layer in judged if _is_fp16(layer) is False]
    if not (fp16 or other):
        raise BackendError(UNTOLD)
    if (convolutions and other) or len(other) > len(fp16):
        raise BackendError(
            f"{len(other)} of {len(judged)} convolutions of the engine do not compute in FP16 "
            f"({other[0].get('Name', 'a layer')}): the engine was not kept; export the model "
            f"again: {EXPORT_FP16}"
        )


def _is_convolution(layer: dict[str, Any]) -> bool:
    kinds = (layer.get("ParameterType", ""), layer.get("LayerType", ""))
    return any(CONVOLUTION.search(str(kind)) for kind in kinds)


def _is_fp16(layer: dict[str, Any]) -> bool | None:
    """What a layer's weights are, or where it does not tell, what it reads; None: not told.

    Its output may be wider: the last conversion is fused into what is before it. So may its input
    be, for the first one.
    """
    weights, inputs = layer.get("Weights"), layer.get("Inputs")
    if isinstance(weights, dict) and weights.get("Count"):
        told = [weights.get("Type")]
    elif isinstance(inputs, list):
        read = [tensor for tensor in inputs if isinstance(tensor, dict)]
        told = [tensor.get("Format/Datatype", tensor.get("Datatype")) for tensor in read]
    else:
        told = []
    words = f"{told} {layer.get('TacticName', '')}"
    if FP16.search(words):
        return True
    return False if OTHER.search(words) else None
