"""In which precision the convolutions of an engine came out, as its inspector tells."""

import json
import re
from typing import Any

from sr_runtime.errors import BackendError

__all__ = ["check_convolutions"]

# "Half", "Row major linear FP16 format", "Channel major FP16 format where …".
FP16 = re.compile(r"\bhalf\b|fp16", re.IGNORECASE)


def check_convolutions(inspected: str) -> None:
    """Raise BackendError unless every convolution reads and holds FP16.

    Args:
        inspected: The engine's information in JSON, of a build with detailed profiling verbosity.
            TensorRT documents no schema for it; the fields read here are alike in 10 and 11.
    """
    try:
        layers: list[Any] = json.loads(inspected)["Layers"]
    except (ValueError, KeyError, TypeError) as error:
        raise BackendError("TensorRT does not tell the precisions of the engine") from error
    details = [layer for layer in layers if isinstance(layer, dict)]
    convolutions = [layer for layer in details if _is_convolution(layer)]
    # The compiler may have fused convolutions into kernels of its own, which bear no such name.
    judged = convolutions or [layer for layer in details if layer.get("Inputs")]
    wrong = [layer for layer in convolutions if not _is_fp16(layer)]
    if wrong or not any(_is_fp16(layer) for layer in judged):
        named = wrong[0].get("Name", "a layer") if wrong else "every layer"
        raise BackendError(
            f"{len(wrong) or len(judged)} of {len(judged)} convolutions of the engine do not "
            f"compute in FP16 ({named}): export the model again with --precision fp16; the engine "
            "was not kept"
        )


def _is_convolution(layer: dict[str, Any]) -> bool:
    kinds = (layer.get("ParameterType", ""), layer.get("LayerType", ""))
    return any("conv" in str(kind).lower() for kind in kinds)


def _is_fp16(layer: dict[str, Any]) -> bool:
    """Whether a layer's weights are FP16, or where it does not tell, something that it reads.

    Its output may be wider: the last conversion is fused into what is before it.
    """
    weights = layer.get("Weights")
    if isinstance(weights, dict) and weights.get("Count"):
        return bool(FP16.search(str(weights.get("Type", ""))))
    inputs = layer.get("Inputs", [])
    return any(FP16.search(str(tensor.get("Format/Datatype", ""))) for tensor in inputs)
