"""A model file as Triton Inference Server sees it: its tensors, facts and largest batch."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sr_runtime.backends.choice import choose, open_backend
from sr_runtime.backends.tensorrt.engine_file import EngineInfo, read_engine
from sr_runtime.backends.tensorrt.options import NAMES
from sr_runtime.errors import ArgumentError, ModelError, about, require_extra
from sr_runtime.model_info import PREFIX, ModelInfo

__all__ = ["INT32_MAX", "ServedModel", "served_model"]

INT32_MAX = 2**31 - 1
"""The largest number that Triton's configuration takes."""

# Triton's names of the types in onnx.TensorProto.DataType.
TYPES = {1: "TYPE_FP32", 2: "TYPE_UINT8", 9: "TYPE_BOOL", 10: "TYPE_FP16"}

ENGINE_FACTS = ("tensorrt", "gpu", "compute_capability")


class ServedTensor(NamedTuple):
    field: str
    """Where it stands in config.pbtxt, "input" or "output"."""
    name: str
    data_type: str
    shape: tuple[int, ...]
    """The batch first; -1 where the model leaves it open."""


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model file as Triton sees it."""

    tensors: list[ServedTensor]
    facts: dict[str, str]
    """What the file says about itself, under `sr.*`."""
    max_batch: int
    """The largest batch that Triton may choose; 0: it may not choose."""
    engine: EngineInfo | None = None
    """None for an ONNX file."""


def served_model(path: Path) -> ServedModel:
    """Read an ONNX file, or an engine with its facts beside it.

    Raises ArgumentError for another suffix, and as `triton_repository`.
    """
    match path.suffix.lower():
        case ".onnx":
            return _served_onnx(path)
        case ".engine" | ".plan":
            return _served_engine(path)
    raise ArgumentError("Triton serves files that end in .onnx, .engine or .plan", path=path)


def _served_engine(path: Path) -> ServedModel:
    """Engines are built only from our ONNX files, and have the same tensors."""
    _, engine = read_engine(path)
    info, profile = engine.model, engine.profile
    if engine.kind != "tensorrt":
        raise ModelError(
            f"Triton does not run engines of {NAMES[engine.kind]}: build one on the server's GPU "
            "with --for tensorrt, or give the ONNX file",
            path=path,
        )
    if profile.min.batch > 1:
        raise ModelError(
            f"the engine takes batches of {profile.min.batch} images or more, and Triton also "
            "sends single images: build it with a batch of 1 in --min",
            path=path,
        )
    if info.io == "uint8":
        data_type, shape = "TYPE_UINT8", (-1, -1, -1, info.in_channels)
    else:
        data_type, shape = "TYPE_FP32", (-1, info.in_channels, -1, -1)
    tensors = [ServedTensor(field, field, data_type, shape) for field in ("input", "output")]
    if info.io == "uint8":
        tensors.append(ServedTensor("output", "finite", "TYPE_BOOL", (-1,)))
    facts = info.to_metadata()
    facts |= {PREFIX + key: str(getattr(profile, key)) for key in ("min", "opt", "max")}
    facts |= {PREFIX + key: getattr(engine, key) for key in ENGINE_FACTS}
    return ServedModel(tensors=tensors, facts=facts, max_batch=profile.max.batch, engine=engine)


def _served_onnx(path: Path) -> ServedModel:
    with require_extra("export"):
        from sr_export.onnx_file import load_onnx
    model = load_onnx(path)
    graph = model.graph
    with about(path):
        info = ModelInfo.from_metadata({prop.key: prop.value for prop in model.metadata_props})
    if info is None:
        name, _ = choose("auto", "cpu")
        with closing(open_backend(name, path, device="cpu", precision="fp32")) as engine:
            info = engine.info
    weights = {tensor.name for tensor in graph.initializer}  # which old files list as inputs too
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1 or not graph.output:
        raise ModelError(
            f"not a super-resolution model: it has {len(inputs)} inputs and {len(graph.output)} "
            "outputs",
            path=path,
        )
    tensors: list[ServedTensor] = []
    for value in (*inputs, *graph.output):
        tensor = value.type.tensor_type
        if not tensor.shape.dim or tensor.elem_type not in TYPES:
            raise ModelError(
                f"the shape of {value.name} is not stated, or its type is not one that images "
                "have: run onnx.shape_inference.infer_shapes over the file",
                path=path,
            )
        shape = tuple(side.dim_value if side.dim_value > 0 else -1 for side in tensor.shape.dim)
        field = "output" if tensors else "input"
        tensors.append(ServedTensor(field, value.name, TYPES[tensor.elem_type], shape))
    max_batch = INT32_MAX if all(tensor.shape[0] == -1 for tensor in tensors) else 0
    return ServedModel(tensors=tensors, facts=info.to_metadata(), max_batch=max_batch)
