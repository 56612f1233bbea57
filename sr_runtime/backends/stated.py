"""The facts that a model file states, compared with its graph."""

from collections.abc import Mapping, Sequence

from sr_runtime.errors import ModelError
from sr_runtime.model_info import ModelInfo

__all__ = ["shape_text", "stated_info"]


def stated_info(
    metadata: Mapping[str, str], shape: Sequence[int | None], dtype: str
) -> ModelInfo | None:
    """The facts in an ONNX file's `metadata_props`; None if it has none of ours.

    Args:
        shape: The shape of the model's input; None where it is dynamic.
        dtype: numpy's name of its type.

    Raises:
        ModelError: They are damaged, or contradict the input.
    """
    info = ModelInfo.from_metadata(metadata)
    if info is None:
        return None
    of_pixels = info.io == "uint8"
    if len(shape) != 4 or dtype not in (("uint8",) if of_pixels else ("float32", "float16")):
        raise ModelError(
            f"its facts say sr.io {info.io}, and its input is {shape_text(shape)} {dtype}: "
            "export the model again"
        )
    channels = shape[3 if of_pixels or info.layout == "NHWC" else 1]
    if channels not in (None, info.in_channels):
        raise ModelError(
            f"its facts say sr.in_channels {info.in_channels}, and its input {shape_text(shape)} "
            f"has {channels} channel(s): export the model again"
        )
    return info


def shape_text(shape: Sequence[int | None]) -> str:
    """A shape as messages write it, with ? for a side that is dynamic."""
    return "×".join("?" if side is None else str(side) for side in shape) or "a scalar"
